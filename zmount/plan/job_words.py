"""Which command does a scheduled job."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from zmount.topology.hosts import Host
from zmount.topology.schedules import Job, Schedule

# what a job's zmount command is called with, where it is about all of the host
_ALL: Mapping[Job, tuple[str, ...]] = {
    "pack": ("--all",),
    "verify": ("--all",),
    "swap-stage": ("--all",),
}


def job_words(schedule: Schedule, host: Host) -> tuple[str, ...]:
    """Return the words after ``zmount`` that do SCHEDULE on HOST; not for a command of its own."""
    names = schedule.names_on(host) or _ALL.get(schedule.job, ())
    rolling = ("--rolling",) if schedule.job == "restart" else ()
    return (schedule.job, *rolling, *schedule.options, *names)


def job_line(schedule: Schedule, host: Host) -> str:
    """Return what a person would type to do SCHEDULE on HOST by hand."""
    if schedule.job == "command":
        return schedule.command
    return shlex.join(["zmount", *job_words(schedule, host)])
