"""``zmount diff-config``."""

from __future__ import annotations

import click

from zmount.cli.app import App


@click.command("diff-config")
@click.option("--full", is_flag=True, help="Show the text of new files, and each directory.")
@click.pass_context
def diff_config(ctx: click.Context, full: bool) -> None:
    """Show what apply would change.

    Exit status: 0 nothing would change, 1 something would.
    """
    from zmount.cli.changes import diff_text
    from zmount.operations.diff_config import diff_config

    app = ctx.find_object(App) or App()
    found = diff_config(app.topology, app.host)
    app.show(diff_text(found, full=full), found.as_json())
    ctx.exit(0 if found.is_empty else 1)
