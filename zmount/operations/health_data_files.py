"""Is what a process writes to the Data.fs that is on the disk?

A file that was replaced, moved away or deleted under its server lives on without its
name, and takes commits that are lost with the server's end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from zmount.effects.clock import pause
from zmount.effects.files_seen import FileSeen, is_data_file, see_file
from zmount.effects.process_table import OpenFile
from zmount.effects.stage_files import current_files
from zmount.filestorage.reindex import index_path
from zmount.operations.health_readings import Reading
from zmount.operations.health_scene import Opener, Scene, Subject
from zmount.operations.health_words import size_words
from zmount.topology.storages import Storage

DO_NOT_RESTART = "do NOT restart "
SETTLES_S = 0.01  # FileStorage opens what it has put in place in less


def data_file_readings(
    storage: Storage, subject: Subject, seen: Sequence[FileSeen], opener: Opener | None
) -> Iterator[Reading]:
    """Yield whether each file SEEN of STORAGE is the one that OPENER, its process, has open."""
    if "data-file" not in subject.scene.checks:
        return
    if opener is not None and opener.pid is None and opener.is_hidden:
        said = f"whether {opener.process.name} has {seen[-1].path} open may not be seen"
        yield from subject.says("data-file", "unknown", said, hint="as root")
        return
    if opener is None or opener.pid is None or not opener.has(storage):
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
        keeps_up = name if hint.startswith(DO_NOT_RESTART) else ""
        for each in subject.says("data-file", "critical", said, hint=hint):
            yield replace(each, keeps_up=keeps_up)
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
    who = "nobody opens it here"
    if opener is not None:
        does_not = "does not run" if opener.pid is None else "does not serve it"
        who = f"{opener.process.name} {does_not}"
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
        f"{DO_NOT_RESTART}{name}; stop its instances, then: cp {place} {file.path}.saved",
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
                f"{DO_NOT_RESTART}{name}, nor remove {path}: it has the newest commits",
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
