"""What ``zmount offline`` and ``zmount online`` have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from zmount.cli.app import App
from zmount.cli.completing import process_names

if TYPE_CHECKING:
    from zmount.operations.offline_roots import Voices
    from zmount.operations.offlined import Offlined, OfflineWish
    from zmount.topology.hosts import Host
    from zmount.topology.topology import Topology

    Act = Callable[[Topology, Host, OfflineWish, Voices], tuple[Offlined, ...]]

F = TypeVar("F", bound=Callable[..., Any])


def side_and_instances(command: F) -> F:
    """Let COMMAND take which of a site's mount points are meant."""
    for option in (
        click.option(
            "--production", "side", flag_value="production", help="Only where production is shown."
        ),
        click.option(
            "--staging", "side", flag_value="staging", help="Only where staging is shown."
        ),
        click.option(
            "--instance",
            "instances",
            multiple=True,
            metavar="NAME",
            shell_complete=process_names,
            help="Only in this instance; may be said again.",
        ),
    ):
        command = option(command)
    return command


def told(app: App, act: Act, *, dry_run: bool, **said: Any) -> None:
    """Do ACT as it was SAID; show what came of it, and raise what failed."""
    from zmount.cli.progress import progress
    from zmount.operations.offline_roots import Voices
    from zmount.operations.offlined import OfflineWish, refuse_failures
    from zmount.topology.load import load

    said["reason"] = " ".join(said.get("reason", "").split())  # it is told in one line
    wish = OfflineWish(is_dry_run=dry_run, **said)
    ask = _ask if sys.stdin.isatty() and not app.as_json else None
    with progress("restarting") as watch:
        voices = Voices(say=lambda line: click.echo(line, err=True), watch=watch, ask=ask)
        # as the file says it, with what is unmounted
        results = act(load(app.path), app.host, wish, voices)
    if app.as_json:
        app.show("", [each.as_json() for each in results])
    else:
        for each in results:
            if each.error is None:
                app.show(str(each), None)
        for note in dict.fromkeys(note for each in results for note in each.notes):
            app.show(note, None)
    refuse_failures(results)


def _ask(question: str) -> bool:
    return click.confirm(question, err=True)
