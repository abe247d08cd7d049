"""``zmount apply``."""

from __future__ import annotations

import click

from zmount.cli.app import App
from zmount.cli.options import dry_run_option


@click.command("apply")
@dry_run_option
@click.option("--overwrite", is_flag=True, help="Also replace files that a person changed.")
@click.option(
    "--no-prepare", is_flag=True, help="Leave databases alone: make no mount points or users."
)
@click.pass_obj
def apply(app: App, dry_run: bool, overwrite: bool, no_prepare: bool) -> None:
    """Write the generated files, make directories and mount points.

    All or nothing: what fails leaves the files as they were, and zmount undo puts
    back what was there before. Exit status 10: the files are written, but a root
    could not be prepared.
    """
    from zmount.cli.changes import applied_text
    from zmount.operations.apply import Wish, apply

    wish = Wish(is_dry_run=dry_run, overwrites=overwrite, prepares=not no_prepare)
    done = apply(app.topology, app.host, wish, lambda line: click.echo(line, err=True))
    app.show(applied_text(done), done.as_json(), wraps=False)
    done.refuse_incomplete()
