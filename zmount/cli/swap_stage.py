"""``zmount swap-stage``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from zmount.cli.app import App
from zmount.cli.completing import site_names
from zmount.cli.options import dry_run_option

if TYPE_CHECKING:
    from zmount.operations.swap_plan import SwapPlan
    from zmount.operations.swap_stage import Event, Swapped

PHASES = {  # in words, what who swaps calls
    "blobs": "production's blobs",
    "freeze": "production as it is now",
}


@click.command("swap-stage")
@click.argument("sites", nargs=-1, metavar="[SITE]...", shell_complete=site_names)
@click.option("--all", "is_all", is_flag=True, help="Every site whose staging can be swapped.")
@click.option(
    "--drop-changes",
    is_flag=True,
    help="Also where staging was changed. The changes are kept; --undo brings them back.",
)
@click.option("--undo", is_flag=True, help="Put back what staging showed before.")
@click.option(
    "--mode",
    type=click.Choice(["link", "copy"]),
    help="Link to production's file, or copy it [default: stage-mode in zmount.conf].",
)
@dry_run_option
@click.pass_obj
def swap_stage(app: App, /, sites: tuple[str, ...], is_all: bool, **said: Any) -> None:
    """Let the staging of SITE show what production holds now, without a restart.

    It takes no time and no room: staging's server links to production's file. What
    staging showed before is kept, and --undo puts it back. Where people changed
    staging meanwhile it is asked for first; a script must say --drop-changes. Where
    no server runs, the files alone are changed.

    \b
    Examples:
      zmount swap-stage example.org --dry-run
      zmount swap-stage example.org
      zmount swap-stage example.org --undo
      zmount swap-stage --all --drop-changes
    """
    from zmount.operations.swap_plan import SwapWish
    from zmount.operations.swap_stage import refuse_failures, swap_stage

    if bool(sites) == is_all:
        raise click.UsageError("name sites, or say --all")
    if said["undo"] and said["mode"]:
        raise click.UsageError("--mode has no meaning with --undo")
    wish = SwapWish(
        names=sites,
        is_all=is_all,
        mode=said["mode"] or "",
        drops_changes=said["drop_changes"],
        undoes=said["undo"],
        is_dry_run=said["dry_run"],
    )
    ask = _ask if sys.stdin.isatty() and not app.as_json else None
    with _watching(app) as watch:
        done = swap_stage(app.topology, app.host, wish, watch, ask)
    if app.as_json:
        app.show("", [each.as_json() for each in done])
    refuse_failures(done)


def _ask(plan: SwapPlan) -> bool:
    from zmount.operations.swap_plan import changes_counted

    changes = changes_counted(plan.drops)
    return click.confirm(
        f"{plan.seen.staging.name}: {changes} would be gone from staging. Go on?", err=True
    )


@contextmanager
def _watching(app: App) -> Iterator[Callable[[Event], None]]:
    """Yield what shows plans, progress and results as they come; with --json nothing."""
    from zmount.cli.swap_text import plan_text, result_text
    from zmount.operations.swap_plan import SwapPlan

    def watch(event: Event) -> None:
        if app.as_json:
            return
        if isinstance(event, SwapPlan):
            app.console.print(plan_text(event), soft_wrap=True)
        elif isinstance(event, tuple):
            _tell(*event)
        else:
            _end_of_line()
            _show(app, event, result_text(event))

    yield watch


def _show(app: App, event: Swapped, text: object) -> None:
    if event.state is not None:
        app.console.print(text, soft_wrap=True)


def _tell(site: str, phase: str, done: int, of: int) -> None:
    if sys.stderr.isatty():
        share = f" {100 * done / of:.0f} %" if of else ""
        click.echo(f"\r{site}: {PHASES.get(phase, phase)}{share}\033[K", err=True, nl=False)


def _end_of_line() -> None:
    if sys.stderr.isatty():
        click.echo("\r\033[K", err=True, nl=False)
