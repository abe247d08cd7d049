"""The check of schedules: what was missed, what failed."""

from __future__ import annotations

from collections.abc import Iterator

from zmount.effects.clock import now
from zmount.errors import HistoryUnreadable
from zmount.operations.health_readings import Number, Reading, State
from zmount.operations.health_scene import Scene, Subject
from zmount.operations.health_words import time_words
from zmount.operations.schedule import Scheduled, timetable

# zmount health ends with these where something is not well; that is told here anyway
_HEALTH_STATUSES = (1, 2, 3)


def schedule_readings(scene: Scene) -> Iterator[Reading]:
    """Yield how the last run of each schedule of this host was, and what is no schedule now."""
    if not scene.asks("schedule") or scene.names:
        return
    local = scene.local
    try:
        table = timetable(local.topology, local.host)
    except HistoryUnreadable as why:
        subject = Subject(scene=scene, kind="host", name=local.host.name)
        yield from subject.says("schedule", "unknown", str(why), hint=why.hint)
        return
    for job in table.jobs:
        yield from _schedule(scene, job)
    for left in table.left_behind:
        subject = Subject(scene=scene, kind="schedule", name=left.name)
        said = f"{left.by} begins it still, though it is not in zmount.conf any more"
        yield from subject.says("schedule", "warning", said, hint=left.forget)


def _schedule(scene: Scene, job: Scheduled) -> Iterator[Reading]:
    subject = Subject(scene=scene, kind="schedule", name=job.schedule.name)
    state = _state(job)
    numbers: tuple[Number, ...] = ()
    last = job.last
    if last is not None:
        age = max(0.0, now() - last.began)
        numbers = (subject.number("last_run_age_seconds", age, "seconds"),)
        if last.duration_s is not None:
            numbers += (subject.number("last_run_seconds", last.duration_s, "seconds"),)
    hint = "" if state == "ok" else _hint(job, scene)
    yield from subject.says("schedule", state, _said(job), *numbers, hint=hint)


def _state(job: Scheduled) -> State:
    last = job.last
    is_findings = last is not None and last.exit_status in _HEALTH_STATUSES
    if job.state == "failed" and job.schedule.job == "health" and is_findings:
        return "ok"  # else it would never be well again
    return "ok" if job.is_well else "warning"


def _hint(job: Scheduled, scene: Scene) -> str:
    name, log = job.schedule.name, job.schedule.log(scene.local.host)
    if job.state == "not applied":
        return "zmount apply"
    if job.state == "running":
        return f"see {log}"  # it may hang
    has_log = job.last is not None and job.last.result == "failed"
    return f"see {log}; zmount run {name}" if has_log else f"zmount run {name}"


def _said(job: Scheduled) -> str:
    last = job.last
    if job.state == "not applied":
        return "it is not applied: cron or systemd does not know of it"
    if job.missed is not None and job.state == "missed":
        return f"it was due at {job.missed:%Y-%m-%d %H:%M}, and did not run"
    if last is None:
        return "it was not due yet"
    ago = time_words(max(0.0, now() - last.began))
    if last.duration_s is None:
        again = f", and was due again at {job.missed:%Y-%m-%d %H:%M}" if job.missed else ""
        return f"it runs for {ago}{again}"
    if job.why:
        return f"{last.result} {ago} ago: {job.why}"
    return f"{last.result} {ago} ago, after {time_words(last.duration_s)}"
