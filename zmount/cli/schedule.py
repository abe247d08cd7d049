"""``zmount schedule``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from zmount.cli.app import App
from zmount.cli.completing import schedule_names

if TYPE_CHECKING:
    from rich.console import Group

    from zmount.operations.schedule import Scheduled, Timetable

_COLOURS = {
    "done": "green",
    "running": "yellow",
    "waiting": "dim",
    "failed": "red",
    "missed": "bold red",
    "not applied": "red",
}
_TIME = "%a %Y-%m-%d %H:%M %Z"


@click.command("schedule")
@click.argument("names", nargs=-1, metavar="[JOB]...", shell_complete=schedule_names)
@click.pass_context
def schedule(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Show this host's scheduled jobs: what, when next, when last and with what result.

    Times are those of this machine's time zone. A job is MISSED where it was due since it
    was applied, and no run began since then: the machine was off, or cron or the timer
    does not know of it.

    Exit status: 0, or 1 where a job was missed, its last run failed or takes until the next is
    due, it is not applied, or cron or systemd begins one that zmount.conf has no more.
    """
    from zmount.operations.schedule import timetable

    app = ctx.ensure_object(App)
    seen = timetable(app.topology, app.host, names)
    app.show(_text(seen), seen.as_json())
    ctx.exit(0 if seen.is_well else 1)


def _text(seen: Timetable) -> Group | str:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    left = [Text(f"not in zmount.conf any more: {job}", style="red") for job in seen.left_behind]
    if not seen.jobs:
        return Group(f"host {seen.host.name} has no schedule", *left)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("job", "state", "next", "last", "result", "took", "does"):
        table.add_column(heading, overflow="fold")
    for job in seen.jobs:
        state = "MISSED" if job.state == "missed" else job.state
        table.add_row(
            job.schedule.name,
            Text(state, style=_COLOURS[job.state]),
            _next(job),
            *_last(job),
            Text(job.does),
        )
    lines: list[Any] = [table]
    remarks = [Text(line, style="red") for line in _remarks(seen)]
    if any(job.state == "missed" for job in seen.jobs) and seen.activation:
        remarks.append(Text(f"this lets them begin, if nobody said it yet: {seen.activation}"))
    remarks += left
    return Group(*lines, *([""] if remarks else []), *remarks)


def _next(job: Scheduled) -> str:
    if job.schedule.at.is_at_boot:
        return "at boot"
    return f"{job.next[0]:{_TIME}}" if job.next else "never"


def _last(job: Scheduled) -> tuple[str, str, str]:
    from zmount.effects.local_zone import local_time

    last = job.last
    if last is None:
        return "never", "", ""
    exit_status = f", exit {last.exit_status}" if last.exit_status else ""
    took = "" if last.duration_s is None else f"{last.duration_s:.1f} s"
    return f"{local_time(last.began):{_TIME}}", f"{last.result}{exit_status}", took


def _remarks(seen: Timetable) -> Iterator[str]:
    """Yield what is wrong with the jobs, and what to do."""
    not_applied = [job.schedule.name for job in seen.jobs if job.state == "not applied"]
    if not_applied:
        yield f"not as zmount.conf says: {', '.join(not_applied)}; zmount apply"
    for job in seen.jobs:
        name, log = job.schedule.name, job.schedule.log(seen.host)
        if job.state == "missed" and job.missed is not None:
            yield f"{name} was due at {job.missed:{_TIME}} and did not run: zmount run {name}"
        elif job.state == "running" and job.missed is not None:
            yield f"{name} was due again at {job.missed:{_TIME}}, and is at work still; see {log}"
        elif job.state == "failed":
            has_log = job.last is not None and job.last.result == "failed"
            yield f"{name}: {job.why}" + (f"; see {log}" if has_log else "")
