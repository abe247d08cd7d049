"""Rules about schedules: what could not run, would run in vain, or into each other."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from itertools import combinations

from zmount.topology.checks.names import why_unsafe
from zmount.topology.cron import Cron
from zmount.topology.findings import Finding, error, warning
from zmount.topology.processes import processes
from zmount.topology.schedules import Job, Schedule
from zmount.topology.topology import Topology
from zmount.topology.windows import DAY

# what a schedule may add to its zmount command
OPTIONS: Mapping[Job, frozenset[str]] = {
    "pack": frozenset(("--days", "--no-gc")),
    "verify": frozenset(),
    "health": frozenset(("--only", "--except", "--write", "--prometheus-file")),
    "restart": frozenset(("--drain", "--drain-limit")),
    "rotate-logs": frozenset(("--keep", "--size", "--no-compress")),
    "swap-stage": frozenset(("--drop-changes", "--mode")),
    "start": frozenset(),
}
# jobs that one deployment's lock keeps apart
_KEPT_APART: Mapping[Job, str] = {"pack": "packs", "restart": "restarts", "start": "restarts"}


def schedule_names(topology: Topology) -> Iterator[Finding]:
    """Yield names that make no unit or no log."""
    logs = {(each.host.name, each.log.path): each.name for each in processes(topology)}
    for schedule in topology.schedules:
        what, place = f"schedule {schedule.name}", schedule.place
        if why := why_unsafe(schedule.name, non_ascii=False):
            yield error("name-unsafe", place, f"{what!r} is not safe as a file name", why=why)
        for host in schedule.hosts:
            writer = logs.get((host.name, schedule.log(host)))
            if schedule.name == "supervisord":
                writer = "supervisord"
            if writer is not None:
                yield error(
                    "schedule-log",
                    place,
                    f"{what} would write into the log of {writer}, {schedule.log(host)}",
                    hint="another name",
                )


def schedules_of_nothing(topology: Topology) -> Iterator[Finding]:
    """Yield jobs whose hosts have nothing of what they are about, or that say too much."""
    for schedule in topology.schedules:
        for named in schedule.of:
            if not any(host.name in named.hosts for host in schedule.hosts):
                yield error(
                    "schedule-elsewhere",
                    schedule.place.of("host"),
                    f"schedule {schedule.name}: {named.name} is on host {' '.join(named.hosts)}",
                    why=f"a {schedule.job} is done on the host that has what it is about",
                    hint=f"host {named.hosts[0]}, or no host at all",
                )
        yield from _of_a_command(schedule)


def _of_a_command(schedule: Schedule) -> Iterator[Finding]:
    name, place = schedule.name, schedule.place
    is_command = schedule.job == "command"
    if is_command and not schedule.command:
        yield error(
            "schedule-command", place, f"schedule {name} has no command", hint="command PROGRAM"
        )
    for key in ("of", "options") if is_command else ("command", "user"):
        if key in place.keys:
            yield error(
                "schedule-command",
                place.of(key),
                f"schedule {name}: job {schedule.job} has no use for {key}",
                hint="leave it out" if is_command else f"job command, or no {key}",
            )


def unknown_options(topology: Topology) -> Iterator[Finding]:
    """Yield options that the zmount command of a job would refuse at night."""
    for schedule in topology.schedules:
        known = OPTIONS.get(schedule.job)
        for option in schedule.options if known is not None else ():
            name = option.partition("=")[0]
            if known is not None and name.startswith("-") and name not in known:
                close = difflib.get_close_matches(name, known, n=1) or sorted(known)
                yield error(
                    "schedule-option",
                    schedule.place.of("options"),
                    f"schedule {schedule.name}: a {schedule.job} job has no option {name}",
                    hint=" or ".join(close) or "leave it out",
                )


def stages_that_are_not_swapped(topology: Topology) -> Iterator[Finding]:
    """Yield sites whose staging no job can replace."""
    sites = {site.name: site for site in topology.sites}
    for schedule in topology.schedules:
        if schedule.job != "swap-stage":
            continue
        for site in [sites[named.name] for named in schedule.of if named.name in sites]:
            if site.staging is None or site.staging.stage is None:
                lack = "staging" if site.staging is None else "stage that could be swapped"
                yield error(
                    "schedule-no-stage",
                    schedule.place.of("of"),
                    f"schedule {schedule.name}: site {site.name} has no {lack}",
                    hint=f"leave {site.name} out",
                )
        if not schedule.of and not any(
            s.staging is not None and s.staging.stage for s in sites.values()
        ):
            yield error(
                "schedule-no-stage",
                schedule.place.of("job"),
                f"schedule {schedule.name}: no site has a stage that could be swapped",
            )


def windows_that_are_missed(topology: Topology) -> Iterator[Finding]:
    """Yield windows into which a run never falls, or out of which its jitter takes it."""
    for schedule in topology.schedules:
        if not schedule.windows or schedule.at.is_at_boot:
            continue
        times = [
            (weekday, minute)
            for weekday in schedule.at.possible_weekdays
            for minute in schedule.at.minutes_of_the_day
        ]
        inside = [time for time in times if _is_inside(schedule, *time)]
        what = f"schedule {schedule.name}: at {schedule.at.text}"
        if not inside:
            yield error(
                "window-missed",
                schedule.place.of("window"),
                f"{what} never falls into {_windows(schedule)}",
                why="no run would ever begin",
                hint="another window, or another time",
            )
        elif schedule.jitter_s and any(_drifts_out(schedule, *time) for time in inside):
            yield warning(
                "window-jitter",
                schedule.place.of("jitter"),
                f"{what}, up to {schedule.jitter_s // 60} minutes later is outside of "
                f"{_windows(schedule)}",
                why="such a run would not begin",
                hint="less jitter, or a longer window",
            )


def _is_inside(schedule: Schedule, weekday: int, minute: int) -> bool:
    return any(window.holds_minute(weekday, minute) for window in schedule.windows)


def _drifts_out(schedule: Schedule, weekday: int, minute: int) -> bool:
    later = minute + schedule.jitter_s // 60
    return not _is_inside(schedule, (weekday + later // DAY) % 7, later % DAY)


def _windows(schedule: Schedule) -> str:
    return " or ".join(window.text for window in schedule.windows)


def schedules_that_collide(topology: Topology) -> Iterator[Finding]:
    """Yield jobs that begin in the same minute although only one of them can be at work."""
    for first, second in combinations(topology.schedules, 2):
        lock = _KEPT_APART.get(first.job)
        is_same = first.job == second.job and _share_names(first, second)
        are_kept_apart = lock is not None and lock == _KEPT_APART.get(second.job)
        if not (is_same or are_kept_apart) or first.job == "command":
            continue
        hosts = {host.name for host in first.hosts} & {host.name for host in second.hosts}
        if hosts and _coincide(first.at, second.at):
            yield warning(
                "schedules-collide",
                second.place.of("at"),
                f"schedules {first.name} and {second.name} begin at the same time",
                why=f"one deployment has one of its {lock} at work, and the other would fail"
                if are_kept_apart
                else "both do the same",
                hint="another time for one of them",
            )


def _share_names(first: Schedule, second: Schedule) -> bool:
    names = {named.name for named in first.of}
    return not first.of or not second.of or any(named.name in names for named in second.of)


def _coincide(first: Cron, second: Cron) -> bool:
    """True if there is a minute of some year at which both come."""
    if first.is_at_boot or second.is_at_boot:
        return first.is_at_boot and second.is_at_boot
    fields = [
        (getattr(first, each), getattr(second, each)) for each in ("minutes", "hours", "months")
    ]
    if not first.is_either_day and not second.is_either_day:
        fields += [(first.days, second.days), (first.weekdays, second.weekdays)]
    return all(set(one).intersection(other) for one, other in fields)


RULES = (
    schedule_names,
    schedules_of_nothing,
    unknown_options,
    stages_that_are_not_swapped,
    windows_that_are_missed,
    schedules_that_collide,
)
