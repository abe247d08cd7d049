"""What runs when on a host, when it ran last and what came of it, and what was missed.

A job is missed where nothing ran since the last time at which it was due: the machine was
off, or cron or the timer does not know of it. Due is what falls into the job's windows,
and is younger than the file that begins it: what was not applied cannot be missed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Literal

from zmount.effects.clock import booted_at, now
from zmount.effects.history import Entry, Search, entries, history_file
from zmount.effects.local_files import text_of
from zmount.effects.local_host import written_at
from zmount.effects.local_zone import local_time
from zmount.effects.person import user_id
from zmount.operations.left_behind import LeftBehind, left_behind
from zmount.plan.job_words import job_line
from zmount.render.activation import activation
from zmount.render.files import schedule_files
from zmount.render.generated import GeneratedFile
from zmount.topology.hosts import Host
from zmount.topology.managers import job_unit
from zmount.topology.schedules import Schedule
from zmount.topology.topology import Topology

GRACE_S = 120  # after a job is due and its jitter is over, until it counts as missed
NEXT = 3  # times that are told
_FARTHEST = 5000  # times that are looked through for one in a window

State = Literal["done", "running", "failed", "missed", "not applied", "waiting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheduled:
    """A schedule of a host as it is right now; ``next`` are moments in the local zone.

    ``state`` is that of the last run, unless a later one was missed. ``missed`` is when that
    was due, be it while the last one runs still. "waiting": it was not due since it was applied.
    """

    schedule: Schedule
    does: str
    state: State
    next: tuple[datetime, ...] = ()
    last: Entry | None = None
    missed: datetime | None = None

    @property
    def is_well(self) -> bool:
        """False if somebody should look at it."""
        if self.state == "running":
            return self.missed is None
        return self.state in ("done", "waiting")

    @property
    def why(self) -> str:
        """What went wrong in the last run; "" if nothing did."""
        said = "" if self.last is None else self.last.sentence
        said = said.removeprefix(f"job {self.schedule.name} ")
        return said.removeprefix("failed: ").removeprefix("is ")

    def as_json(self) -> dict[str, Any]:
        """Return this for ``--json``; times are ISO 8601, with the zone's offset."""
        last = self.last
        return {
            "name": self.schedule.name,
            "job": self.schedule.job,
            "does": self.does,
            "at": self.schedule.at.text,
            "state": self.state,
            "next": [moment.isoformat() for moment in self.next],
            "missed": None if self.missed is None else self.missed.isoformat(),
            "last": None
            if last is None
            else {
                "began": local_time(last.began).isoformat(timespec="seconds"),
                "result": last.result,
                "exit_status": last.exit_status,
                "duration_s": last.duration_s,
                "sentence": last.sentence,
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """The schedules of HOST; ``activation`` is what lets cron or systemd know of them.

    ``left_behind`` are jobs that are begun still, though they are none of these any more.
    """

    host: Host
    jobs: tuple[Scheduled, ...]
    activation: str
    left_behind: tuple[LeftBehind, ...] = ()

    @property
    def is_well(self) -> bool:
        """True if nothing was missed, failed, is not applied, or was left behind."""
        return not self.left_behind and all(job.is_well for job in self.jobs)

    def as_json(self) -> dict[str, Any]:
        """Return this for ``--json``."""
        return {
            "host": self.host.name,
            "activation": self.activation,
            "jobs": [job.as_json() for job in self.jobs],
            "left_behind": [job.as_json() for job in self.left_behind],
        }


def timetable(topology: Topology, host: Host, names: Iterable[str] = ()) -> Timetable:
    """Return the schedules NAMES of HOST, or all.

    :raises UnknownName: there is no such schedule
    :raises HistoryUnreadable: when they ran last is not to be known
    """
    chosen = [topology.schedule(name) for name in names]
    is_all = not chosen
    chosen = chosen or list(topology.schedules)
    files = schedule_files(topology, host)
    by_name = {file.path.name: file for file in files}
    jobs = []
    for schedule in chosen:
        if schedule.is_on(host):
            unit = job_unit(topology, schedule)
            begins = [by_name[n] for n in (f"{unit}.service", f"{unit}.timer") if n in by_name]
            jobs.append(_scheduled(topology, host, schedule, begins or list(by_name.values())))
    return Timetable(
        host=host,
        jobs=tuple(jobs),
        activation=activation(topology, host, is_root=user_id() == 0),
        left_behind=left_behind(topology, host) if is_all else (),
    )


def _scheduled(
    topology: Topology, host: Host, schedule: Schedule, files: list[GeneratedFile]
) -> Scheduled:
    search = Search(names=(schedule.name,), operation="run", newest=1)
    last = next(iter(entries(history_file(topology.file), search)), None)
    moment = local_time(now())
    since = _applied_at(files)
    missed = None if since is None else _missed(schedule, moment, since, last)
    return Scheduled(
        schedule=schedule,
        does=job_line(schedule, host),
        state=_state(since, missed, last),
        next=tuple(islice(_open(schedule, schedule.at.after(moment)), NEXT)),
        last=last,
        missed=missed,
    )


def _state(since: float | None, missed: datetime | None, last: Entry | None) -> State:
    if last is not None and last.result in ("running", "begun"):
        return "running"
    if since is None:
        return "not applied"
    if missed is not None:
        return "missed"
    if last is None:
        return "waiting"
    return "failed" if last.is_failure else "done"


def _applied_at(files: list[GeneratedFile]) -> float | None:
    """Return since when FILES are as they should be; None: they are not."""
    if any(text_of(file.path) != file.text for file in files):
        return None
    return max((written_at(file.path) or 0.0 for file in files), default=None)


def _missed(
    schedule: Schedule, moment: datetime, since: float, last: Entry | None
) -> datetime | None:
    """Return when SCHEDULE was due last, if it has not begun since then."""
    patience = timedelta(seconds=GRACE_S + schedule.jitter_s)
    if schedule.at.is_at_boot:
        due: datetime | None = local_time(booted_at())
        if due is not None and due + patience > moment:
            return None
    else:
        due = next(iter(_open(schedule, schedule.at.before(moment - patience))), None)
    if due is None or due.timestamp() < since:
        return None
    # the clock of a machine that woke up is put right a little after its timers
    return due if last is None or last.began < due.timestamp() - 1 else None


def _open(schedule: Schedule, times: Iterable[datetime]) -> Iterable[datetime]:
    return (moment for moment in islice(times, _FARTHEST) if schedule.may_begin(moment))
