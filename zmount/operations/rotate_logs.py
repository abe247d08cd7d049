"""Rotate the logs of a host's processes, without logrotate, so that no line is lost.

1. observe: which logs are there, which old ones, and who writes them?
2. plan: which is renamed, and what moves on to make room; which is left alone, and why.
3. apply: finish what a crash left; rename. Until its writer has a new file he goes on in the
   renamed one: nothing is copied, nothing is cut.
4. let each writer open a new file: ZEO by SIGUSR2, zdaemon over its socket; a Zope sees by
   itself that its log is gone, and gets no signal.
5. verify: who was told writes to no renamed file any more.
6. compress old files that nobody writes; what somebody still has open waits for the next run.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from zmount.effects.lock import locked
from zmount.effects.log_rotation import LogOnDisk, clear_up, compress, log_on_disk, move_on
from zmount.effects.log_writers import FileId, Writers, writers
from zmount.operations.log_reopening import reopen
from zmount.operations.process_names import named_processes
from zmount.operations.recorded import Record, recorded
from zmount.operations.rotated_logs import LogRotation, LogRotations
from zmount.operations.rotation_plan import TOLD, LogPlan, RotationWish, plan_rotation
from zmount.render.log_files import LogFile, log_files
from zmount.topology.hosts import Host
from zmount.topology.topology import Topology

FIRST_COMPRESSED = 2  # as logrotate with delaycompress: .1 is for reading
LOCK = "rotate-logs"
_AS_USUAL = RotationWish()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Log:
    """A log, the files of the topology that are this one, and what is to be done with it."""

    files: tuple[LogFile, ...]
    disk: LogOnDisk
    plan: LogPlan


def rotate_logs(
    topology: Topology, host: Host, names: Iterable[str] = (), *, wish: RotationWish = _AS_USUAL
) -> LogRotations:
    """Rotate the logs of the processes NAMES on HOST, or of all; return what came of each.

    A log that cannot be rotated keeps no other from it.

    :raises UnknownName: there is no such process on HOST
    :raises Locked: another zmount rotates them
    """
    names = tuple(names)
    chosen = {each.name for each in named_processes(topology, host, names)}
    files = [
        file
        for file in log_files(topology, host)
        if not names or (file.process is not None and file.process.name in chosen)
    ]
    if wish.is_dry_run:
        plans = [_planned(log) for log in _look(files, wish)]
        return LogRotations(host=host.name, is_dry_run=True, logs=tuple(plans))
    with recorded(topology.file, host.name, "rotate-logs", subjects=names or [host.name]) as record:
        with locked(host.directory, name=LOCK):
            result = LogRotations(host=host.name, is_dry_run=False, logs=tuple(_apply(files, wish)))
        _record(record, result)
        return result


def _look(files: Iterable[LogFile], wish: RotationWish) -> list[_Log]:
    """Return the logs that FILES are, with a plan for each."""
    by_path: dict[str, list[LogFile]] = {}
    for file in files:
        by_path.setdefault(str(file.path), []).append(file)
    disks = {path: log_on_disk(some[0].path) for path, some in by_path.items()}
    seen = writers(_ids(disks.values()))
    return [
        _Log(
            files=tuple(some),
            disk=disks[path],
            plan=plan_rotation(some, disks[path], seen, wish),
        )
        for path, some in by_path.items()
    ]


def _ids(disks: Iterable[LogOnDisk]) -> Iterator[FileId]:
    for disk in disks:
        yield from (each.file for each in disk.old)
        if disk.file is not None:
            yield disk.file


def _planned(log: _Log) -> LogRotation:
    return LogRotation(
        name=log.files[0].name,
        path=log.disk.path,
        size_bytes=log.disk.size_bytes,
        done="left" if log.plan.left else "rotated",
        why=log.plan.left,
        dropped=log.plan.shift.drops if not log.plan.left else (),
    )


def _apply(files: Sequence[LogFile], wish: RotationWish) -> Iterator[LogRotation]:
    for file in files:
        if file.reopening != "itself":
            _clear_up(file)
    logs = _look(files, wish)
    done = list(_reopened(logs, [_rotated(log) for log in logs]))
    return _with_compressed(files, done) if wish.compresses else iter(done)


def _clear_up(file: LogFile) -> None:
    try:
        clear_up(log_on_disk(file.path))
    except OSError:
        pass  # it takes space, and nothing else: what cannot be rotated will say why


def _rotated(log: _Log) -> LogRotation:
    rotation = _planned(log)
    if log.plan.left:
        return replace(rotation, done="failed") if log.plan.is_failure else rotation
    try:
        move_on(log.disk, log.plan.shift)
    except OSError as why:
        said = f"{why.filename2 or why.filename}: {why.strerror}"
        return replace(rotation, done="failed", why=said)
    return rotation


def _reopened(logs: Sequence[_Log], done: Sequence[LogRotation]) -> Iterator[LogRotation]:
    """Let the writers of what was renamed, now or before, open new files; say who did not."""
    renamed: dict[FileId, Sequence[LogFile]] = {}
    for log, rotation in zip(logs, done, strict=True):
        if any(file.reopening in TOLD for file in log.files):
            renamed |= dict.fromkeys(_renamed(log, rotation), log.files)
    troubles = reopen(renamed)
    for log, rotation in zip(logs, done, strict=True):
        files = [file for file in _renamed(log, rotation) if file in renamed]
        said = [troubles[file] for file in files if file in troubles]
        if said:
            yield replace(rotation, done="failed", why=said[0])
        elif files and rotation.done == "left":
            yield replace(rotation, done="reopened", why="it had been renamed before")
        else:
            yield rotation


def _renamed(log: _Log, rotation: LogRotation) -> tuple[FileId, ...]:
    is_new = rotation.done == "rotated" and log.disk.file is not None
    return (*log.plan.held_old, *((log.disk.file,) if is_new and log.disk.file else ()))


def _with_compressed(
    files: Sequence[LogFile], done: Iterable[LogRotation]
) -> Iterator[LogRotation]:
    """Compress the old files of the logs but the newest, as far as nobody writes them."""
    by_path = {str(file.path): file for file in files if file.reopening != "itself"}
    disks = {path: log_on_disk(file.path) for path, file in by_path.items()}
    seen = writers(_ids(disks.values()))
    for rotation in done:
        path = str(rotation.path)
        file = by_path.get(path)
        yield rotation if file is None else _compressed(file, disks[path], seen, rotation)


def _compressed(
    file: LogFile, disk: LogOnDisk, seen: Writers, rotation: LogRotation
) -> LogRotation:
    hidden = file.process is not None and seen.hides(file.process)
    compressed, waiting = [], []
    for old in sorted(disk.old, key=lambda each: each.number):
        if old.is_compressed or old.number < FIRST_COMPRESSED:
            continue
        if not seen.is_known or hidden or seen.of(old.file):
            waiting.append(old.name)
            continue
        try:
            compress(disk.path.parent / old.name)
        except OSError as why:
            said = f"{old.name} is not compressed: {why.strerror or why}"
            rotation = replace(rotation, done="failed", why=said)
        else:
            compressed.append(f"{old.name}.gz")
    return replace(rotation, compressed=tuple(compressed), waiting=tuple(waiting))


def _record(record: Record, result: LogRotations) -> None:
    record.plan(each for each in result.logs if each.done != "left" or each.compressed)
    rotated = [each for each in result.logs if each.done == "rotated"]
    record.numbers(rotated=len(rotated), size_bytes=sum(each.size_bytes for each in rotated))
    if rotated:
        record.numbers(result=f"{len(rotated)} rotated")
    if result.error is not None:
        record.failed(result.error)
    elif not result.has_done_something:
        record.nothing_to_do()
