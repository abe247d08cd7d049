"""``zmount schedule``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from zmount.cli.app import App
from zmount.cli.completing import schedule_names

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from zmount.operations.schedule import Scheduled, Timetable

_COLOURS = {
    "done": "green",
    "running": "yellow",
    "waiting": "dim",
    "failed": "red",
    "missed": "bold red",
    "not applied": "red",
}
_HEADINGS = ("job", "state", "next", "last", "result", "took", "does")
_TIME = "%a %Y-%m-%d %H:%M %Z"
_SHORT = "%a %m-%d %H:%M"  # a terminal has 80 columns, and a job two times


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
    from rich.text import Text

    from zmount.operations.schedule import timetable

    app = ctx.ensure_object(App)
    seen = timetable(app.topology, app.host, names)
    app.show(_table(seen, app.console.width), seen.as_json())
    remarks = _remarks_text(seen)
    if remarks and not app.as_json:
        app.show(Text.assemble("\n", remarks), None, wraps=False)
    ctx.exit(0 if seen.is_well else 1)


def _table(seen: Timetable, columns: int) -> Table | str:
    """Return a line for each job; what does not fit into COLUMNS is left out of what it does."""
    from rich.table import Table
    from rich.text import Text

    if not seen.jobs:
        return f"host {seen.host.name} has no schedule"
    rows = [_row(job) for job in seen.jobs]
    table = Table(box=None, pad_edge=False, header_style="bold")
    widths = [max(map(len, cells)) for cells in zip(_HEADINGS, *rows, strict=True)]
    widths[-1] = max(
        len(_HEADINGS[-1]), min(widths[-1], columns - sum(widths[:-1]) - 2 * (len(widths) - 1))
    )
    for heading, width in zip(_HEADINGS, widths, strict=True):
        table.add_column(heading, overflow="ellipsis", no_wrap=True, width=width)
    for row, job in zip(rows, seen.jobs, strict=True):
        name, state, *other = row
        table.add_row(Text(name), Text(state, style=_COLOURS[job.state]), *map(Text, other))
    return table


def _row(job: Scheduled) -> tuple[str, ...]:
    state = "MISSED" if job.state == "missed" else job.state
    return (job.schedule.name, state, _next(job), *_last(job), job.does.removeprefix("zmount "))


def _remarks_text(seen: Timetable) -> Text:
    """Return what is wrong, empty if nothing is."""
    from rich.text import Text

    text = Text("\n".join(_remarks(seen)), style="red")
    if any(job.state == "missed" for job in seen.jobs) and seen.activation:
        said = f"\nthis lets them begin, if nobody said it yet: {seen.activation}"
        text.append_text(Text(said, style="default"))
    return text


def _next(job: Scheduled) -> str:
    if job.schedule.at.is_at_boot:
        return "at boot"
    return f"{job.next[0]:{_SHORT}}" if job.next else "never"


def _last(job: Scheduled) -> tuple[str, str, str]:
    from zmount.effects.local_zone import local_time

    last = job.last
    if last is None:
        return "never", "", ""
    is_failed = last.result == "failed" and last.exit_status  # as the state says
    result = f"exit {last.exit_status}" if is_failed else last.result
    took = "" if last.duration_s is None else f"{last.duration_s:.1f} s"
    return f"{local_time(last.began):{_SHORT}}", result, took


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
    yield from (f"not in zmount.conf any more: {job}" for job in seen.left_behind)
