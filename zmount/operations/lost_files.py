"""Does a process write to the files that are on the disk?

A data file that was replaced, moved away or deleted under its server lives on without its
name, and takes commits that are lost with the server's end. So such a server must not be
ended before its file is saved.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zmount.effects.clock import pause
from zmount.effects.files_seen import FileSeen, is_data_file, see_file
from zmount.effects.process_table import OpenFile, open_files
from zmount.effects.stage_files import current_files
from zmount.errors import ProcessFailed, StorageUnreadable
from zmount.operations.local_processes import LocalProcesses
from zmount.topology.processes import Process
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology

DO_NOT_RESTART = "do NOT restart "
SETTLES_S = 0.01  # FileStorage opens what it has put in place in less


@dataclass(frozen=True, slots=True, kw_only=True)
class Opener:
    """The process that should have a storage's files open, and what it has.

    ``pid`` is None where it does not run, or ``is_hidden`` who it is; ``files`` is None where
    that may not be seen. ``served`` are the names of storages that a ZEO server says it has,
    None where nobody said.
    """

    process: Process
    pid: int | None = None
    files: tuple[OpenFile, ...] | None = None
    is_hidden: bool = False
    served: Collection[str] | None = None

    def has(self, storage: Storage) -> bool:
        """True if it runs and may have STORAGE open; False if it says that it does not."""
        if self.pid is None:
            return False
        return self.served is None or storage.server is None or storage.zeo_name in self.served

    def again(self) -> Opener:
        """Return the same process with what it has open by now."""
        return replace(self, files=open_files(self.pid) if self.pid is not None else None)


def refuse_lost_files(local: LocalProcesses, process: Process, pid: int) -> None:
    """Refuse to end PROCESS, which runs as PID, if what it committed would be lost with it.

    :raises ProcessFailed: a Data.fs was replaced, moved or deleted under it
    """
    opener = Opener(process=process, pid=pid, files=open_files(pid))
    for storage in _opened_by(local, process):
        try:
            found = lasting_trouble(local.topology, storage, opener)
        except StorageUnreadable:
            continue  # its server has it broken, or open all the same
        if found is not None and found[1].startswith(DO_NOT_RESTART):
            raise ProcessFailed(
                f"{process.name} is not stopped: {found[0]}",
                hint=f"{found[1].removeprefix(DO_NOT_RESTART + process.name).lstrip(';, ')}; "
                f"then zmount stop {process.name} --force",
            )


def lasting_trouble(topology: Topology, storage: Storage, opener: Opener) -> tuple[str, str] | None:
    """Return what is wrong with the files of STORAGE for OPENER, and what to do; None: nothing.

    :raises StorageUnreadable: which they are may not be seen
    """
    found = trouble_of(topology, _seen(storage), opener)
    if found is None:
        return None
    # so it is for a moment, too, when a pack or a swap puts its file in place
    pause(SETTLES_S)
    return trouble_of(topology, _seen(storage), opener.again())


def _seen(storage: Storage) -> tuple[FileSeen, ...]:
    return tuple(see_file(path) for path in current_files(storage))


def _opened_by(local: LocalProcesses, process: Process) -> Iterator[Storage]:
    """Yield the FileStorages of this host that PROCESS has open."""
    for storage in local.topology.storages:
        opener = local.openers.get(storage.name)
        is_here = storage.host.name == local.host.name
        if opener == process and is_here and storage.backend is None:
            yield storage


def trouble_of(
    topology: Topology, seen: Sequence[FileSeen], opener: Opener
) -> tuple[str, str] | None:
    """Return what is wrong with the first of the files SEEN, and what to do; None: nothing.

    The last is the one that is written to. Files are opened by name to be read, again and
    again: of a replaced one only what is open for writing tells.
    """
    for file in seen:
        had = [each for each in opener.files or () if (each.device, each.inode) == file.identity]
        if had and (file != seen[-1] or any(each.is_written for each in had)):
            continue
        stray = [each for each in opener.files or () if each.is_written or not had]
        found = _lost(file, stray, opener) or _moved(topology, file, stray, opener)
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
    topology: Topology, file: FileSeen, stray: Sequence[OpenFile], opener: Opener
) -> tuple[str, str] | None:
    """Return that one of those STRAY is what FILE was, and what to do.

    It lies in the same directory, and is a data file of no other storage.
    """
    others = {
        str(see_file(Path(each.data_fs)).real_path)
        for each in topology.storages
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
