"""The checks of what should be done from time to time: packs, verifications, swaps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from zmount.effects.clock import now
from zmount.effects.files_seen import first_tid, see_file
from zmount.effects.history import Entry, history_file, last, last_of_each
from zmount.effects.stage_files import stage_state
from zmount.errors import HistoryUnreadable, StorageUnreadable
from zmount.operations.health_readings import Number, Reading, judged, worst
from zmount.operations.health_scene import Scene, Subject
from zmount.operations.health_words import time_words
from zmount.tids import tid_time
from zmount.topology.storages import Storage

_DONE = {"last-pack": ("pack", "packed"), "last-verify": ("verify", "verified")}


def history_readings(scene: Scene) -> Iterator[Reading]:
    """Yield when each storage of this host was packed and verified, each stage swapped."""
    if scene.asks("last-swap"):
        for storage in scene.storages:
            if storage.stage is not None and scene.is_here(storage):
                yield from _swap(scene, storage)
    if not scene.asks(*_DONE):
        return
    path = history_file(scene.local.topology.file)
    try:
        newest = last_of_each(path, *(operation for operation, _ in _DONE.values()))
    except HistoryUnreadable as why:
        subject = Subject(scene=scene, kind="host", name=scene.local.host.name)
        for check in _DONE:
            yield from subject.says(check, "unknown", str(why), hint=why.hint)
        return
    for storage in scene.storages:
        if scene.is_here(storage) and storage.data_fs is not None and storage.stage is None:
            for check, (operation, _) in _DONE.items():
                yield from _done(scene, storage, check, newest.get((operation, storage.name)))


def _done(scene: Scene, storage: Storage, check: str, newest: Entry | None) -> Iterator[Reading]:
    operation, word = _DONE[check]
    subject = Subject(scene=scene, kind="storage", name=storage.name)
    assert storage.data_fs is not None
    file = see_file(Path(storage.data_fs))
    if file.inode is None or check not in scene.checks:
        return
    good = _last_good(scene, operation, storage, newest)
    bad = _bad(scene, operation, storage, newest, good)
    is_as_it_was = good is not None and file.modified_at <= good.began + (good.duration_s or 0.0)
    if good is not None and is_as_it_was and bad is None:
        said = f"{word} {time_words(now() - good.began)} ago; nothing was committed since"
        yield from subject.says(check, "ok", said, _age(subject, check, now() - good.began))
        return
    since = good.began if good is not None else _first_commit(file.path)
    age = max(0.0, now() - since) if since is not None else 0.0
    number = _age(subject, check, age)
    state = judged(age, number.limits)
    said = f"{word} {time_words(age)} ago" if good is not None else f"never {word}"
    if good is None and since is not None:
        said += f", its first commit was {time_words(age)} ago"
    if bad is not None:
        state = worst((state, "critical" if _is_damage(bad) else "warning"))
        said += f"; {_what_came(bad)}"
    hint = "" if state == "ok" else f"zmount {operation} {storage.name}"
    yield from subject.says(check, state, said, number, hint=hint)


def _last_good(
    scene: Scene, operation: str, storage: Storage, newest: Entry | None
) -> Entry | None:
    if newest is None or newest.result in ("done", "nothing to do"):
        return newest
    path = history_file(scene.local.topology.file)
    return last(path, operation, storage.name, results=("done", "nothing to do"))


def _bad(
    scene: Scene, operation: str, storage: Storage, newest: Entry | None, good: Entry | None
) -> Entry | None:
    """Return what failed after the last GOOD one: damage that was found before all else."""
    if newest is None or newest is good:
        return None
    path = history_file(scene.local.topology.file)
    failed = last(path, operation, storage.name, results=("failed",))
    is_newer = failed is not None and (good is None or failed.began > good.began)
    if failed is not None and is_newer and _is_damage(failed):
        return failed
    return newest if newest.is_failure else None


def _is_damage(entry: Entry) -> bool:
    return entry.numbers.get("result") == "damaged"


def _what_came(bad: Entry) -> str:
    ago = time_words(max(0.0, now() - bad.began))
    if _is_damage(bad):
        return f"damage was found {ago} ago: {bad.sentence}"
    what = {"interrupted": "was interrupted", "refused": "was refused"}.get(bad.result, bad.result)
    return f"the last try, {ago} ago, {what}" + (f": {bad.sentence}" if bad.sentence else "")


def _first_commit(path: Path) -> float | None:
    tid = first_tid(path)
    moment = tid_time(tid) if tid is not None else None
    return moment.timestamp() if moment is not None else None


def _age(subject: Subject, check: str, age: float) -> Number:
    return subject.number(f"{check.replace('-', '_')}_age_seconds", age, "seconds", check)


def _swap(scene: Scene, storage: Storage) -> Iterator[Reading]:
    subject = Subject(scene=scene, kind="storage", name=storage.name)
    try:
        state = stage_state(storage)
    except StorageUnreadable as why:
        yield from subject.says("last-swap", "unknown", str(why), hint=why.hint)
        return
    if state.is_plain or state.broken:
        limits = subject.limits("last-swap")
        wanted = limits.warning is not None or limits.critical is not None
        said = "it shows its own file: production's content never took its place"
        hint = f"zmount swap-stage {storage.site}" if wanted else ""
        yield from subject.says("last-swap", "warning" if wanted else "ok", said, hint=hint)
        return
    age = max(0.0, now() - state.swapped_at)
    number = _age(subject, "last-swap", age)
    said = f"it took production's content {time_words(age)} ago"
    yield from subject.measured("last-swap", number, said)
