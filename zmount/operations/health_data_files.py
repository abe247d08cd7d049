"""Is what a process writes to the Data.fs that is on the disk?

See ``lost_files`` for what is lost if it is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from zmount.effects.files_seen import FileSeen, see_file
from zmount.filestorage.reindex import index_path
from zmount.operations.health_readings import Reading
from zmount.operations.health_scene import Subject
from zmount.operations.health_words import size_words
from zmount.operations.lost_files import DO_NOT_RESTART, Opener, lasting_trouble, trouble_of
from zmount.topology.storages import Storage


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
    trouble = trouble_of(subject.scene.local.topology, seen, opener)
    if trouble:
        trouble = lasting_trouble(subject.scene.local.topology, storage, opener.again())
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
