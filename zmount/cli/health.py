"""``zmount health``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zmount.cli.app import App
from zmount.cli.completing import process_names
from zmount.errors import ZMountError

if TYPE_CHECKING:
    from zmount.operations.health_readings import Health

_UNKNOWN = 3  # to Nagios
EVERY_S = 5.0  # between two looks of --watch, unless it says


@click.command("health")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=process_names)
@click.option("--only", multiple=True, metavar="CHECK", help="Make only this check (repeatable).")
@click.option("--except", "excluded", multiple=True, metavar="CHECK", help="Leave this check out.")
@click.option("--all", "is_all", is_flag=True, help="Show what is ok, too.")
@click.option(
    "--write",
    "writes",
    is_flag=True,
    help="Also begin a transaction on each storage that is no production's, vote, and abort.",
)
@click.option("--nagios", is_flag=True, help="Print one line with performance data.")
@click.option("--prometheus", is_flag=True, help="Print Prometheus' text format.")
@click.option(
    "--prometheus-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write that to FILE, for the node exporter.",
)
@click.option(
    "--watch",
    "every_s",
    type=click.FloatRange(min=0.2),
    is_flag=False,
    flag_value=EVERY_S,
    metavar="[SECONDS]",
    help=f"Look again every so many seconds [{EVERY_S:.0f}], until Ctrl-C.",
)
@click.pass_context
def health(ctx: click.Context, /, names: tuple[str, ...], **said: Any) -> None:
    """Check every server, storage, instance, mount and file, all at the same time.

    NAME is a ZEO server, a storage, a site, an instance or one process of it. What is not
    ok is shown, with what to do. From where on a number is wrong is said by <health> in
    zmount.conf; docs/reference/health-checks.md tells of each check.

    Exit status: 0, all is ok; 1, there are warnings; 2, something is critical; 3, something
    is not to be known.

    \b
    Examples:
      zmount health
      zmount health pub --watch
      zmount health --nagios --except last-pack
    """
    from zmount.operations.health import HealthWish, health
    from zmount.topology.load import load

    if said["nagios"] and said["prometheus"]:
        raise click.UsageError("--nagios and --prometheus cannot both be printed", ctx)
    app = ctx.ensure_object(App)
    wish = HealthWish(
        names=names, only=said["only"], excluded=said["excluded"], writes=said["writes"]
    )
    shape = "nagios" if said["nagios"] else "prometheus" if said["prometheus"] else ""

    def look() -> Health:
        seen = health(load(app.path), app.host, wish)
        if said["prometheus_file"] is not None:
            _publish(seen, said["prometheus_file"])
        return seen

    def show(seen: Health) -> None:
        _show(app, seen, shape, said["is_all"])

    every_s: float | None = said["every_s"]
    if every_s is not None:
        ctx.exit(_watch(app, look, show, every_s, is_for_machines=bool(shape or app.as_json)))
    try:
        seen = look()
    except ZMountError as why:
        if shape != "nagios":
            raise
        _show_unknown(app, why)
        ctx.exit(_UNKNOWN)
    show(seen)
    ctx.exit(seen.exit_status)


def _show_unknown(app: App, why: ZMountError) -> None:
    """Say why nothing was looked at, where Nagios looks: it reads no stderr."""
    from zmount.cli.health_nagios import nagios_unknown

    app.show(nagios_unknown(why), {"error": str(why), "hint": why.hint, "exit_status": _UNKNOWN})


def _show(app: App, seen: Health, shape: str, is_all: bool) -> None:
    if shape == "nagios":
        from zmount.cli.health_nagios import nagios_line

        app.show(nagios_line(seen), seen.as_json())
    elif shape == "prometheus":
        from zmount.operations.health_prometheus import prometheus_text

        app.show(prometheus_text(seen).rstrip("\n"), seen.as_json())
    else:
        from zmount.cli.health_text import health_text

        app.show(health_text(seen, is_all), seen.as_json(), wraps=False)


def _publish(seen: Health, path: Path) -> None:
    from zmount.operations.health_prometheus import publish_for_prometheus

    publish_for_prometheus(seen, path)


def _watch(
    app: App,
    look: Callable[[], Health],
    show: Callable[[Health], None],
    every_s: float,
    *,
    is_for_machines: bool,
) -> int:
    """Look again and again; return the last look's exit status when Ctrl-C ends it.

    What was seen before stays on the terminal while servers that are down are waited for.
    A mistake in zmount.conf that somebody makes meanwhile is shown, and ends nothing.

    :raises ZMountError: the first look is not possible
    """
    from zmount.effects.clock import now, pause
    from zmount.effects.local_zone import local_time

    status: int | None = None
    try:
        while True:
            seen: Health | ZMountError
            try:
                seen = look()
                status = seen.exit_status
            except ZMountError as why:
                if status is None:
                    raise
                seen, status = why, _UNKNOWN
            if not is_for_machines:
                click.clear()  # does nothing where there is no terminal
                click.echo(f"{local_time(now()):%H:%M:%S}, every {every_s:g} s until Ctrl-C\n")
            if isinstance(seen, ZMountError):
                app.show_error(seen)
            else:
                show(seen)
            pause(every_s)
    except KeyboardInterrupt:
        return status or 0
