"""The checks of a storage's files on this host, and of the process that has them open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from zmount.effects.blob_directory import blob_trouble
from zmount.effects.clock import pause
from zmount.effects.file_lock import writer
from zmount.effects.files_seen import FileSeen, index_known, is_data_file, see_file, why_unreadable
from zmount.effects.process_table import OpenFile
from zmount.effects.raw_storages import is_opened_read_only
from zmount.effects.stage_files import current_files, stage_state
from zmount.errors import StorageUnreadable
from zmount.filestorage.reindex import index_path
from zmount.operations.health_readings import Reading
from zmount.operations.health_scene import Opener, Scene, Subject
from zmount.operations.health_words import size_words
from zmount.operations.status import is_process
from zmount.topology.storages import Storage

SETTLES_S = 0.01  # FileStorage opens what it has put in place in less
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
    yield from _data_file(storage, subject, seen, opener)
    if is_opened_read_only(storage):
        yield from subject.says("lock-holder", "ok", "it is read-only: nobody locks it")
    else:
        yield from _lock_holder(subject, files[-1], opener)
    yield from _index(subject, seen[-1])
    yield from _blobs(storage, subject)


def _data_file(
    storage: Storage, subject: Subject, seen: Sequence[FileSeen], opener: Opener | None
) -> Iterator[Reading]:
    """Is each file of the storage the one that its process has open?"""
    if "data-file" not in subject.scene.checks:
        return
    if opener is not None and opener.pid is None and opener.is_hidden:
        said = f"whether {opener.process.name} has {seen[-1].path} open may not be seen"
        yield from subject.says("data-file", "unknown", said, hint="as root")
        return
    if opener is None or opener.pid is None:
        yield from _at_rest(subject, seen, opener)
        return
    name, pid = opener.process.name, opener.pid
    if opener.files is None:
        said = f"what {name} (pid {pid}) has open may not be seen"
        yield from subject.says("data-file", "unknown", said, hint="as root")
        return
    trouble = _trouble(subject.scene, seen, opener)
    if trouble:  # so it is for a moment, too, when a pack or a swap puts its file in place
        pause(SETTLES_S)
        seen = tuple(see_file(path) for path in current_files(storage))
        trouble = _trouble(subject.scene, seen, opener.again())
    if trouble:
        said, hint = trouble
        yield from subject.says("data-file", "critical", said, hint=hint)
        return
    number = subject.number("data_fs_bytes", sum(each.size_bytes for each in seen), "bytes")
    said = f"{name} has {seen[-1].path} open, {size_words(number.value)}"
    yield from subject.says("data-file", "ok", said, number)


def _at_rest(
    subject: Subject, seen: Sequence[FileSeen], opener: Opener | None
) -> Iterator[Reading]:
    """Say whether the files are there; whether their process should run is told elsewhere."""
    missing = [each for each in seen if each.inode is None]
    index = see_file(index_path(seen[-1].path))
    who = f"{opener.process.name} does not run" if opener is not None else "nobody opens it here"
    if not missing:
        yield from subject.says("data-file", "ok", f"{seen[-1].path} is there; {who}")
    elif missing[0].why_not:
        said = f"{missing[0].path}: {missing[0].why_not}"
        yield from subject.says("data-file", "unknown", said, hint="as root")
    elif index.inode is not None:
        said = f"{missing[0].path} is gone, its index is still there; {who}"
        hint = "bring it back before anything is started: a server would make an empty one"
        yield from subject.says("data-file", "critical", said, hint=hint)
    else:
        said = f"{missing[0].path} is not there yet; {who}"
        yield from subject.says("data-file", "ok", said)


def _trouble(scene: Scene, seen: Sequence[FileSeen], opener: Opener) -> tuple[str, str] | None:
    """Return what is wrong with the first of the files SEEN, and what to do; None: nothing.

    The last is the one that is written to. Files are opened by name to be read, again and
    again: of a replaced one only what is open for writing tells.
    """
    for file in seen:
        had = [each for each in opener.files or () if (each.device, each.inode) == file.identity]
        if had and (file != seen[-1] or any(each.is_written for each in had)):
            continue
        stray = [each for each in opener.files or () if each.is_written or not had]
        found = _lost(file, stray, opener) or _moved(scene, file, stray, opener)
        if found is not None or not had:  # one that is had, but not written to, is read-only
            return found or _not_open(file, opener)
    return None


def _lost(file: FileSeen, stray: Sequence[OpenFile], opener: Opener) -> tuple[str, str] | None:
    """Return that FILE is another than the STRAY one of its name, and what to do."""
    found = [each for each in stray if each.path == str(file.real_path)]
    if not found:
        return None
    name = opener.process.name
    place = f"/proc/{opener.pid}/fd/{max(found, key=lambda each: each.is_written).descriptor}"
    what = "was deleted" if file.inode is None else "was replaced by another file"
    return (
        f"{file.path} {what} while {name} has it open: what is committed goes to a file "
        f"without a name, {place}, and is lost when {name} ends",
        f"do NOT restart {name}; first: cp {place} {file.path}.saved",
    )


def _moved(
    scene: Scene, file: FileSeen, stray: Sequence[OpenFile], opener: Opener
) -> tuple[str, str] | None:
    """Return that one of those STRAY is what FILE was, and what to do.

    It lies in the same directory, and is a data file of no other storage.
    """
    others = {
        str(see_file(Path(each.data_fs)).real_path)
        for each in scene.local.topology.storages
        if each.data_fs is not None
    }
    for each in stray:
        path = Path(each.path)
        if path.parent == file.real_path.parent and each.path not in others and is_data_file(path):
            name = opener.process.name
            what = "" if file.inode is None else ", and another file took its place"
            return (
                f"{file.path} was moved to {path} while {name} has it open{what}: "
                "what is committed goes to the moved one",
                f"do NOT restart {name}, nor remove {path}: it has the newest commits",
            )
    return None


def _not_open(file: FileSeen, opener: Opener) -> tuple[str, str]:
    name = opener.process.name
    if file.inode is None:
        why = file.why_not or "it is not there"
        return f"{file.path}: {why}, and {name} does not have it open", f"zmount status {name}"
    return (
        f"{name} runs, but does not have {file.path} open",
        f"ls -l /proc/{opener.pid}/fd shows what it has open; then zmount restart {name}",
    )


def _lock_holder(subject: Subject, path: Path, opener: Opener | None) -> Iterator[Reading]:
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
        if opener is None or expected is None:
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
