"""``zmount history``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zmount.cli.app import App
from zmount.cli.completing import all_names
from zmount.cli.moments import moment

if TYPE_CHECKING:
    from rich.table import Table

    from zmount.effects.history import Entry

SHOWN = 30
_SUBJECTS = 3  # of an entry, in the table
_COLOURS = {
    "refused": "yellow",
    "failed": "red",
    "interrupted": "yellow",
    "running": "green",
    "did not end": "red",
    "nothing to do": "dim",
}


@click.command("history")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=all_names)
@click.option("--operation", metavar="OP", help="Only this operation, as pack or swap-stage.")
@click.option(
    "--since", callback=moment, metavar="MOMENT", help="From then on, as 7d or 2026-11-26."
)
@click.option("--failed", is_flag=True, help="Only what was refused, failed or did not end.")
@click.option(
    "-n",
    "--last",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"The last N [default: {SHOWN}, with --since all].",
)
@click.pass_obj
def history(app: App, /, names: tuple[str, ...], **said: Any) -> None:
    """Show what was done to this deployment, when, by whom, and what came of it.

    NAME is what it was done to: a storage, a site, a process, a host. Each operation that
    changes or proves something is told, whoever called it; dry runs are not. One that was
    killed did not end. With --json each entry is told in full, with its plan.

    \b
    Examples:
      zmount history
      zmount history pub/example.org --operation pack
      zmount history --failed --since 7d
    """
    from zmount.effects.history import Search
    from zmount.operations.history import entry_json, history

    newest = said["last"] or (None if said["since"] is not None else SHOWN)
    search = Search(
        names=names,
        operation=said["operation"],
        since=said["since"],
        failed=said["failed"],
        newest=newest,
    )
    found = history(app.path, search)
    app.show(_table(found), [entry_json(each) for each in found], wraps=False)


def _table(found: tuple[Entry, ...]) -> Table | str:
    from rich.table import Table
    from rich.text import Text

    from zmount.tids import time_text

    if not found:
        return "nothing of that is in the history"
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    for heading in ("began", "operation", "what", "who", "result"):
        table.add_column(heading, no_wrap=heading != "what", overflow="fold")
    table.add_column("took", justify="right", no_wrap=True)
    table.add_column("", overflow="fold")
    for each in found:
        table.add_row(
            time_text(each.began),
            _plain(each.operation),
            _plain(_subjects(each)),
            _plain(each.who + (f" ({each.job})" if each.job else "")),
            Text(each.result, style=_COLOURS.get(each.result, "")),
            "" if each.duration_s is None else f"{each.duration_s:.1f} s",
            _plain(_outcome(each)),
        )
    return table


def _subjects(entry: Entry) -> str:
    shown, more = entry.subjects[:_SUBJECTS], len(entry.subjects) - _SUBJECTS
    return " ".join(shown) + (f" and {more} more" if more > 0 else "")


def _outcome(entry: Entry) -> str:
    """Return the error, or the most telling of its numbers."""
    from rich.filesize import decimal

    if entry.sentence:
        return entry.sentence.splitlines()[0]
    freed = entry.numbers.get("freed")
    if isinstance(freed, int) and entry.result == "done":
        return f"{decimal(abs(freed))} {'freed' if freed >= 0 else 'more'}"
    return str(entry.numbers.get("result", ""))


def _plain(text: str) -> str:
    """Return TEXT for a table: what stands in a note shall not command the terminal."""
    from rich.markup import escape

    return escape("".join(each if each.isprintable() else "?" for each in text))
