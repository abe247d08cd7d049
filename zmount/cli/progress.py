"""Progress of start, stop and restart: a line per process, on standard error."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from zmount.cli.app import App
from zmount.operations.changes import Change, Watcher, refuse_failures
from zmount.topology.processes import Process


@contextmanager
def progress(doing: str) -> Iterator[Watcher]:
    """Yield what to tell of each process; DOING stands before the one at hand.

    A terminal shows a spinner while it lasts, in colour unless NO_COLOR is set;
    elsewhere there is only one plain line for each.
    """
    from rich.console import Console
    from rich.markup import escape

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with console.status("") as spinner:

        def watch(event: Process | Change) -> None:
            if isinstance(event, Process):
                spinner.update(f"{doing} {escape(event.name)} ...")
                return
            colour = _COLOURS.get(event.done, "green")
            console.print(f"[{colour}]{escape(str(event))}[/{colour}]")
            for note in event.notes:
                console.print(f"  [dim]{escape(note)}[/dim]")
            for warning in event.warnings:
                console.print(f"  [yellow]{escape(warning)}[/yellow]")

        yield watch


_COLOURS = {"failed": "red", "killed": "yellow", "was running": "dim", "was not running": "dim"}


def finish(app: App, changes: Sequence[Change], *, otherwise: str = "nothing to do") -> None:
    """Show CHANGES as JSON if that was asked for; raise what failed in them.

    Where there are none, OTHERWISE is said.
    """
    if app.as_json:
        app.show("", change_facts(changes))
    elif not changes:
        click.echo(otherwise, err=True)
    refuse_failures(changes)


def change_facts(changes: Sequence[Change]) -> list[dict[str, Any]]:
    """Return CHANGES as plain values for JSON."""
    return [
        {
            "name": change.process.name,
            "done": change.done,
            "seconds": round(change.seconds, 3),
            "address": str(change.process.address),
            "pid": change.pid,
            "detail": change.detail,
            "notes": list(change.notes),
            "warnings": list(change.warnings),
            "error": str(change.error) if change.error is not None else None,
        }
        for change in changes
    ]
