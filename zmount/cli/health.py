"""``zmount health``."""

from __future__ import annotations

import click

from zmount.cli.app import App
from zmount.cli.completing import process_names


@click.command("health")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=process_names)
@click.option("--only", multiple=True, metavar="CHECK", help="Make only this check (repeatable).")
@click.option("--except", "excluded", multiple=True, metavar="CHECK", help="Leave this check out.")
@click.option("--write", "writes", is_flag=True, help="Also vote on a transaction, and abort it.")
@click.option("--all", "is_all", is_flag=True, help="Show what is ok, too, one by one.")
@click.pass_context
def health(
    ctx: click.Context,
    names: tuple[str, ...],
    only: tuple[str, ...],
    excluded: tuple[str, ...],
    writes: bool,
    is_all: bool,
) -> None:
    """Say how everything is."""
    from zmount.cli.health_text import health_text
    from zmount.operations.health import health
    from zmount.topology.load import load

    app = ctx.ensure_object(App)
    seen = health(load(app.path), app.host, names, only=only, excluded=excluded, writes=writes)
    app.show(health_text(seen, is_all), seen.as_json(), wraps=False)
    ctx.exit(seen.exit_status)
