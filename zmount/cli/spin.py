"""``zmount spin``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from zmount.cli.app import App
from zmount.cli.completing import process_names
from zmount.sizes import counted

if TYPE_CHECKING:
    from zmount.operations.spinning import BusyThread, ProcessLook


@click.command("spin")
@click.argument("names", nargs=-1, metavar="[INSTANCE]...", shell_complete=process_names)
@click.option(
    "--longer",
    "longer_s",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Requests that last at least so long do not come back.",
)
@click.pass_context
def spin(ctx: click.Context, names: tuple[str, ...], longer_s: float) -> None:
    """Find threads that do not come back, and the site whose request they work on.

    It looks from outside, so that it works when no thread is free to answer, and
    ends nothing. For each such thread: since when, on which request of which site,
    and the innermost lines of its stack; then the command that takes the site
    off-line. Exit status: 0 if there is none, 1 if there is one.

    \b
    Examples:
      zmount spin
      zmount spin pub --longer 30
    """
    from zmount.operations.spin import spin

    app = ctx.ensure_object(App)
    looks = spin(app.topology, app.host, names, longer_s=longer_s)
    lines = [line for look in looks for line in told(look)] or ["no Zope runs on this host"]
    app.show("\n".join(lines), [each.as_json() for each in looks])
    ctx.exit(1 if any(each.is_stuck for each in looks) else 0)


def told(look: ProcessLook) -> Iterator[str]:
    """Yield what is to be said of a process, line by line."""
    answers = "answers" if look.is_answering else "does not answer"
    if look.pid is None:
        yield f"{look.process}: {look.detail}"
        return
    said = "all well"
    if look.threads:
        do = "does" if len(look.threads) == 1 else "do"
        said = f"{len(look.threads)} of {look.known_threads} threads {do} not come back"
    yield f"{look.process}: pid {look.pid} {answers} ({look.detail}), {said}"
    if look.waiting:
        yield f"  {counted(look.waiting, 'request')} waited for a thread in the last minute"
    for alike in look.threads_alike:
        yield from _threads(look, alike)
    for note in look.notes:
        yield f"  {note}"
    if look.remedies:
        yield "  to take it off-line:"
        yield from (f"    {command}" for command in look.remedies)


def _threads(look: ProcessLook, alike: tuple[BusyThread, ...]) -> Iterator[str]:
    """Yield a line for each thread, and what they have in common once."""
    for thread in alike:
        since = "" if thread.seconds is None else f" for {thread.seconds:.0f} s"
        yield (
            f"  thread {thread.native_id} {thread.kind}{since} "
            f"({100 * thread.share:.0f} % of a processor): {thread.request}"
        )
    one = alike[0]
    if one.storage:
        side = f", {one.side} of {one.site}" if one.site else ""
        yield f"    {one.mount_point} in {look.instance}: storage {one.storage}{side}"
    yield from (f"    {frame}" for frame in one.frames)
