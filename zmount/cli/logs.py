"""``zmount logs``."""

from __future__ import annotations

import datetime as dt
import json
import re
from itertools import cycle
from typing import TYPE_CHECKING, Any

import click

from zmount.cli.app import INTERRUPTED, App
from zmount.cli.completing import logged_names
from zmount.cli.moments import moment

if TYPE_CHECKING:
    from zmount.effects.log_entries import LogEntry

_COLOURS = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green")
# a visitor's path may stand in a log: it shall not command the terminal
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")
SHOWN = 50


@click.command("logs")
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=logged_names)
@click.option("-F", "--follow", "is_following", is_flag=True, help="Go on with what is added.")
@click.option(
    "--since",
    callback=moment,
    metavar="MOMENT",
    help="All from then on, as 1h, 03:00 or 2026-11-26T03:00; rotated files are read, too.",
)
@click.option(
    "--errors",
    "only_errors",
    is_flag=True,
    help="Only what is of level ERROR or above, or has a traceback.",
)
@click.option(
    "-n",
    "--last",
    type=click.IntRange(min=0),
    metavar="N",
    help=f"The last N entries [default: {SHOWN}, with --since all].",
)
@click.option("--access", "with_access", is_flag=True, help="Logs of HTTP requests, too.")
@click.pass_context
def logs(ctx: click.Context, /, names: tuple[str, ...], last: int | None, **wished: Any) -> None:
    """Show the logs of this host's processes in one stream, each line with its process.

    NAME is a ZEO server, an instance (all its replicas), one process of it, or a
    scheduled job. Told are what servers and instances log, what they and the runs of
    jobs printed, and what their manager noted, in the order of time; a traceback stays
    with its line. Following goes on through rotation.
    --json gives one object a line.

    Exit status: 0; 28 if a file could not be read, while the others were told.

    \b
    Examples:
      zmount logs --errors --since 1d
      zmount logs pub --follow --access
    """
    from zmount.effects.output_reader import reader_is_gone
    from zmount.errors import LogsUnreadable
    from zmount.operations.logs import LogWish, log_names, logs

    app = ctx.ensure_object(App)
    if last is None and wished["since"] is None:
        last = SHOWN
    wish = LogWish(names=names, last=last, **wished)
    unreadable: list[str] = []

    def complain(text: str) -> None:
        unreadable.append(text)
        _note(text)

    width = max((len(each) for each in log_names(app.topology, app.host, wish)), default=0)
    show = _json if app.as_json else _Lines(width).of
    app.stream("")  # an error is no part of a stream
    try:
        for batch in logs(app.topology, app.host, wish, complain, _note):
            app.stream("".join(map(show, batch)))
            if not batch and reader_is_gone():
                raise BrokenPipeError
    except KeyboardInterrupt:
        ctx.exit(INTERRUPTED)  # the way to end it: no word about that
    if unreadable:
        raise LogsUnreadable(
            f"{len(unreadable)} of the files could not be read", hint="as root, or their user"
        )


def _note(text: str) -> None:
    click.echo(f"zmount: {text}", err=True)


class _Lines:
    """Entries as text: before each line the process' name, coloured on a terminal."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._colours = cycle(_COLOURS)
        self._prefixes: dict[str, str] = {}

    def of(self, entry: LogEntry) -> str:
        """Return the lines of ENTRY, errors in red."""
        prefix = self._prefix(entry.name)
        shown = (_CONTROL.sub("?", line) for line in entry.lines)
        if entry.is_error:
            shown = (click.style(line, fg="red") for line in shown)
        return "".join(f"{prefix}{line}\n" for line in shown)

    def _prefix(self, name: str) -> str:
        if name not in self._prefixes:
            said = f"{name:{self._width}} |"
            self._prefixes[name] = click.style(said, fg=next(self._colours)) + " "
        return self._prefixes[name]


def _json(entry: LogEntry) -> str:
    time = dt.datetime.fromtimestamp(entry.time).astimezone().isoformat(timespec="milliseconds")
    facts = {
        "name": entry.name,
        "time": time,
        "has_time": entry.is_timed,
        "level": entry.level,
        "is_error": entry.is_error,
        "text": "\n".join(entry.lines),
    }
    return json.dumps(facts, ensure_ascii=False) + "\n"
