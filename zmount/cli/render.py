"""``zmount render``."""

from __future__ import annotations

from pathlib import Path

import click

from zmount.cli.app import App


@click.command("render")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="The directory to write to; it is made if it is not there.",
)
@click.option(
    "--validate", "is_judged", is_flag=True, help="Also load the files in their readers' schemas."
)
@click.pass_obj
def render(app: App, output: Path, is_judged: bool) -> None:
    """Write every generated file under DIR/HOST, as it would lie on each host.

    Nothing else is touched. Rendering again replaces what was rendered before.

    \b
    Examples:
      zmount render --output /tmp/review
      zmount --host www2 render --output /tmp/review --validate
    """
    from zmount.operations.render import render

    done = render(app.topology, output, host=app.host_name, is_judged=is_judged)
    for finding in done.warnings:
        click.echo(str(finding), err=True)
    app.show("\n".join(str(done.path(file)) for file in done.files), done.as_json())
