"""The checks of a storage's files on this host: their lock, index, blobs, and stage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from zmount.effects.blob_directory import blob_trouble
from zmount.effects.file_lock import writer
from zmount.effects.files_seen import FileSeen, index_known, see_file, why_unreadable
from zmount.effects.raw_storages import is_opened_read_only
from zmount.effects.stage_files import current_files, stage_state
from zmount.errors import StorageUnreadable
from zmount.filestorage.reindex import index_path
from zmount.operations.health_data_files import data_file_readings
from zmount.operations.health_readings import Reading
from zmount.operations.health_scene import Scene, Subject
from zmount.operations.health_words import size_words
from zmount.operations.lost_files import Opener
from zmount.operations.status import is_process
from zmount.topology.storages import Storage

_CHECKS = ("data-file", "lock-holder", "index", "blobs", "stage")


def file_readings(scene: Scene, storage: Storage, opener: Opener | None) -> Iterator[Reading]:
    """Yield how the files of STORAGE are, which OPENER should have open; None: nobody here."""
    if not scene.asks(*_CHECKS):
        return
    subject = Subject(scene=scene, kind="storage", name=storage.name)
    yield from _stage(storage, subject)
    try:
        files = current_files(storage)
    except StorageUnreadable as why:
        yield from subject.says("data-file", "unknown", str(why), hint=why.hint)
        return
    if not files or storage.backend is not None:
        return  # what it keeps where is for its backend to know
    seen = tuple(see_file(path) for path in files)
    yield from data_file_readings(storage, subject, seen, opener)
    if is_opened_read_only(storage):
        yield from subject.says("lock-holder", "ok", "it is read-only: nobody locks it")
    else:
        yield from _lock_holder(storage, subject, files[-1], opener)
    yield from _index(subject, seen[-1])
    yield from _blobs(storage, subject)


def _lock_holder(
    storage: Storage, subject: Subject, path: Path, opener: Opener | None
) -> Iterator[Reading]:
    if "lock-holder" not in subject.scene.checks:
        return
    try:
        holder = writer(path)
    except OSError as why:
        said = f"the lock of {path} may not be seen: {why.strerror}"
        yield from subject.says("lock-holder", "unknown", said, hint="as root")
        return
    expected = opener.pid if opener is not None else None
    if holder is None:
        if opener is None or not opener.has(storage):
            yield from subject.says("lock-holder", "ok", "nobody has it open")
        else:
            name = opener.process.name
            said = f"nobody holds the lock of {path}, though {name} runs: was it removed?"
            hint = f"start nothing else that opens it; zmount restart {name}, at a quiet time"
            yield from subject.says("lock-holder", "warning", said, hint=hint)
    elif holder.pid is None:
        said = "a process that may not be seen holds its lock"
        yield from subject.says("lock-holder", "unknown", said, hint="as root")
    elif opener is not None and (
        holder.pid == expected or (opener.is_hidden and is_process(holder, opener.process))
    ):
        yield from subject.says("lock-holder", "ok", f"{opener.process.name} holds its lock")
    else:
        wanted = opener.process.name if opener is not None else "nobody"
        said = f"{holder} holds the lock of its Data.fs; {wanted} should"
        hint = f"find out what it is before anything is started: ps -fp {holder.pid}"
        yield from subject.says("lock-holder", "critical", said, hint=hint)


def _index(subject: Subject, file: FileSeen) -> Iterator[Reading]:
    if "index" not in subject.scene.checks or (file.inode is None and not file.why_not):
        return
    why_not = file.why_not or why_unreadable(index_path(file.path))
    if why_not:
        said = f"{index_path(file.path)}: {why_not}"
        yield from subject.says("index", "unknown", said, hint="as root")
        return
    try:
        known = index_known(file.path)
    except StorageUnreadable as why:
        hint = f"zmount index {subject.name}, while its server is down"
        yield from subject.says("index", "warning", str(why), hint=hint)
        return
    unknown = max(0, file.size_bytes - (known or 0))
    number = subject.number("index_behind_bytes", unknown, "bytes", "index")
    what = "there is no saved index: " if known is None else ""
    said = f"{what}{size_words(unknown)} would be read at the next start"
    yield from subject.measured("index", number, said)


def _blobs(storage: Storage, subject: Subject) -> Iterator[Reading]:
    if storage.blob_dir is None or storage.stage is not None:
        return  # those of a stage are judged with its content
    file = see_file(Path(storage.data_fs)) if storage.data_fs is not None else None
    if file is not None and file.inode is None and not file.why_not:
        return  # not made yet
    try:
        trouble = blob_trouble(storage.blob_dir)
    except PermissionError as why:
        said = f"{storage.blob_dir}: {why.strerror}"
        yield from subject.says("blobs", "unknown", said, hint="as root")
        return
    if trouble:
        hint = "mount it, or restore it, before anybody commits"
        said = f"{storage.blob_dir}: {trouble}"
        yield from subject.says("blobs", "critical", said, hint=hint)
    else:
        yield from subject.says("blobs", "ok", f"{storage.blob_dir} is there")


def _stage(storage: Storage, subject: Subject) -> Iterator[Reading]:
    if storage.stage is None or "stage" not in subject.scene.checks:
        return
    try:
        state = stage_state(storage)
    except StorageUnreadable as why:
        yield from subject.says("stage", "unknown", str(why), hint=why.hint)
        return
    if state.broken:
        hint = f"zmount swap-stage {storage.site}"
        yield from subject.says("stage", "critical", f"it is damaged: {state.broken}", hint=hint)
        return
    number = subject.number("pinned_bytes", state.pinned_bytes, "bytes")
    what = "its own file" if state.is_plain else f"generation {state.generation} of production"
    said = f"it shows {what}; {size_words(state.pinned_bytes)} are its own"
    yield from subject.says("stage", "ok", said, number)
