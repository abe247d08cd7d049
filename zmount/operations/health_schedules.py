"""The check of schedules: what was missed, what failed."""

from __future__ import annotations

from collections.abc import Iterator

from zmount.effects.clock import now
from zmount.errors import HistoryUnreadable
from zmount.operations.health_readings import Number, Reading, State
from zmount.operations.health_scene import Scene, Subject
from zmount.operations.health_words import time_words
from zmount.operations.schedule import Scheduled, timetable

_STATES: dict[str, State] = {
    "done": "ok",
    "running": "ok",
    "waiting": "ok",
    "failed": "warning",
    "missed": "warning",
    "not applied": "warning",
}


def schedule_readings(scene: Scene) -> Iterator[Reading]:
    """Yield how the last run of each schedule of this host was."""
    if not scene.asks("schedule") or scene.names:
        return
    local = scene.local
    try:
        jobs = timetable(local.topology, local.host).jobs
    except HistoryUnreadable as why:
        subject = Subject(scene=scene, kind="host", name=local.host.name)
        yield from subject.says("schedule", "unknown", str(why), hint=why.hint)
        return
    for job in jobs:
        yield from _schedule(scene, job)


def _schedule(scene: Scene, job: Scheduled) -> Iterator[Reading]:
    subject = Subject(scene=scene, kind="schedule", name=job.schedule.name)
    state = _STATES[job.state]
    if job.state == "failed" and job.schedule.job == "health":
        state = "ok"  # it fails because of what is told here anyway, and would never be well again
    hint = "" if state == "ok" else f"zmount schedule {subject.name}"
    numbers: tuple[Number, ...] = ()
    last = job.last
    if last is not None:
        age = max(0.0, now() - last.began)
        numbers = (subject.number("last_run_age_seconds", age, "seconds"),)
        if last.duration_s is not None:
            numbers += (subject.number("last_run_seconds", last.duration_s, "seconds"),)
    yield from subject.says("schedule", state, _said(job), *numbers, hint=hint)


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
        return f"it runs for {ago}"
    why = f": {last.sentence}" if last.sentence else ""
    return f"it ran {ago} ago, {last.result} after {time_words(last.duration_s)}{why}"
