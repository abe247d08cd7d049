"""``zmount demo``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from zmount.cli.app import App

if TYPE_CHECKING:
    from zmount.operations.demo import Demo


@click.command("demo")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("zmount-demo"),
    show_default=True,
    help="Where the deployment lives; it is made.",
)
@click.option("--stop", is_flag=True, help="Tear everything down at the end.")
@click.option("--any-port", is_flag=True, help="Do not try 8080 to 8082 and 8100 first.")
@click.pass_obj
def demo(app: App, directory: Path, stop: bool, any_port: bool) -> None:
    """Bring up the design document's deployment in a directory, on real servers.

    One ZEO server, a development, a public and an administrative Zope, five
    sites with production and staging, persistent sessions. It proves that dev's
    /pub/SITE and the public's /home/SITE are the same object and that sessions
    survive a restart, and is left running.
    """
    from zmount.operations.demo import ANY_PORTS, demo
    from zmount.render.demo_conf import PORTS

    def say(line: str) -> None:
        click.echo(line, err=True)

    done = demo(directory, say, ports=ANY_PORTS if any_port else PORTS, tear_down=stop)
    app.show(_text(done), _facts(done))


def _text(done: Demo) -> str:
    if not done.is_running:
        return "all of it works; everything is stopped again"
    dev, pub, adm = (done.topology.instance(name) for name in ("dev", "pub", "adm"))
    site = done.topology.sites[0].name
    zmount = f"{done.host.venv}/bin/zmount -f {done.conf}"  # it may not be on the PATH
    return "\n".join(
        [
            "",
            f"public       http://{pub.http_address}/home/{site}/",
            f"development  http://{dev.http_address}/pub/{site}/  (the same object)",
            f"             http://{dev.http_address}/home/{site}/  (its staging area)",
            f"management   http://{dev.http_address}/manage and http://{pub.http_address}/manage,",
            f"             user and password are in {done.password_file}",
            "",
            f"what runs    {zmount} status",
            f"admin Zope   {zmount} start adm --mount {site}  (then http://{adm.http_address}/)",
            f"stop         {zmount} stop",
        ]
    )


def _facts(done: Demo) -> dict[str, object]:
    return {
        "conf": str(done.conf),
        "is_running": done.is_running,
        "addresses": {
            instance.name: str(instance.http_address) for instance in done.topology.instances
        },
        "password_file": str(done.password_file),
    }
