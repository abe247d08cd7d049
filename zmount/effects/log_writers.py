"""Who writes a log file, and how he is told to open a new one.

A file is known by its inode: whoever has it open goes on writing to it, whatever its name
is by now. All of it comes from /proc; where there is none, nobody can be told.
"""

from __future__ import annotations

import os
import signal
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from zmount.effects.process_table import PROC, Owner, command_line
from zmount.effects.threads import catches
from zmount.topology.processes import Process

FileId = tuple[int, int]  # device and inode
_PYTHON_WORDS = 2  # before a script: python, and one option of its first line


@dataclass(frozen=True, slots=True, kw_only=True)
class Writers:
    """Who has files open for writing.

    ``hidden`` are processes whose open files we may not see; ``is_known`` is False where
    the kernel tells of none.
    """

    found: tuple[tuple[FileId, Owner], ...] = ()
    hidden: tuple[Owner, ...] = ()
    is_known: bool = True

    def of(self, file: FileId) -> tuple[Owner, ...]:
        """Return the processes that have FILE open for writing, as far as we may see."""
        return tuple(owner for each, owner in self.found if each == file)

    def hides(self, process: Process) -> bool:
        """True if the files of PROCESS, or of what keeps it alive, are hidden from us."""
        words = {process.program[-1], str(process.zdaemon_conf)}
        return any(words & set(owner.command) for owner in self.hidden)


def writers(files: Iterable[FileId], *, among: Collection[int] | None = None) -> Writers:
    """Return who has FILES open for writing, of all processes or AMONG some of them."""
    wanted = set(files)
    if not PROC.is_dir():
        return Writers(is_known=False)
    found: list[tuple[FileId, Owner]] = []
    hidden: list[Owner] = []
    entries = PROC.iterdir() if among is None else (PROC / str(pid) for pid in among)
    for entry in entries if wanted else ():
        if not entry.name.isdigit():
            continue
        try:
            theirs = set(_written(entry)) & wanted
        except PermissionError:
            hidden.append(Owner(pid=int(entry.name), command=command_line(int(entry.name))))
            continue
        except OSError:
            continue  # it has ended
        if theirs:
            owner = Owner(pid=int(entry.name), command=command_line(int(entry.name)))
            found.extend((file, owner) for file in theirs)
    return Writers(found=tuple(found), hidden=tuple(hidden))


def is_server(owner: Owner, process: Process) -> bool:
    """True if OWNER runs the program of PROCESS itself, and not what keeps it alive."""
    size = len(process.program)
    return owner.command[-size:] == process.program and len(owner.command) <= size + _PYTHON_WORDS


def is_zdaemon(owner: Owner, process: Process) -> bool:
    """True if OWNER is the manager process that zdaemon has for PROCESS."""
    return str(process.zdaemon_conf) in owner.command and not is_server(owner, process)


def reopens(owner: Owner) -> bool:
    """True if OWNER has a handler for SIGUSR2; it would die of it without."""
    return owner.pid is not None and catches(owner.pid, signal.SIGUSR2)


def signal_to_reopen(owner: Owner, process: Process) -> str:
    """Send SIGUSR2 to OWNER, who runs the program of PROCESS; return why not, or "".

    The signal goes to the process that was looked at, never to one that got its pid meanwhile.
    """
    assert owner.pid is not None
    try:
        descriptor = os.pidfd_open(owner.pid)
    except ProcessLookupError:
        return ""  # it writes no more
    except OSError as why:
        return f"pid {owner.pid} cannot be sent a signal: {why.strerror}"
    try:
        again = Owner(pid=owner.pid, command=command_line(owner.pid))
        if not is_server(again, process):
            return ""
        if not reopens(again):
            return f"pid {owner.pid} would die of SIGUSR2: it is not ready, or no ZEO server"
        signal.pidfd_send_signal(descriptor, signal.SIGUSR2)
    except ProcessLookupError:
        return ""
    except PermissionError:
        return f"pid {owner.pid} is another user's"
    finally:
        os.close(descriptor)
    return ""


def _written(entry: Path) -> Iterator[FileId]:
    """Yield the regular files that the process of ENTRY, in /proc, has open for writing.

    :raises OSError: it is another user's, or is gone
    """
    for descriptor in os.scandir(entry / "fd"):
        try:
            # the link's mode says how the file was opened (proc(5))
            if not descriptor.stat(follow_symlinks=False).st_mode & stat.S_IWUSR:
                continue
            status = descriptor.stat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            yield status.st_dev, status.st_ino
