"""``zmount undo``."""

from __future__ import annotations

import click

from zmount.cli.app import App
from zmount.cli.options import dry_run_option


@click.command("undo")
@dry_run_option
@click.pass_obj
def undo(app: App, dry_run: bool) -> None:
    """Put back the files that the last apply replaced.

    Say it again to go back one apply further. Databases are not touched, nor
    directories in which something lies.
    """
    from zmount.cli.changes import applied_text
    from zmount.operations.undo import undo

    done = undo(app.topology, app.host, dry_run=dry_run)
    app.show(applied_text(done), done.as_json(), wraps=False)
