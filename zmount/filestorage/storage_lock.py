"""The lock that FileStorage holds while it has a data file open for writing.

It is the kernel's (zc.lockfile: ``flock`` on ``Data.fs.lock``), so it goes away
with its holder; the file stays and says who that was.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zmount.errors import Locked, StorageUnwritable
from zmount.filestorage.index import own_as


@contextmanager
def storage_locked(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold the lock of the data file PATH: no FileStorage can open it for writing meanwhile.

    :raises Locked: one has it open
    :raises StorageUnwritable: the lock file cannot be made or opened
    """
    path = Path(path)
    lock = path.with_name(path.name + ".lock")
    try:
        descriptor = _opened(lock, path)
    except OSError as why:
        raise StorageUnwritable(f"{lock}: cannot be opened: {why.strerror}") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(descriptor, 20, 0).decode(errors="replace").strip("\0 \n")
            raise Locked(
                f"{path}: process {pid or 'unknown'} has it open for writing",
                hint="stop that process first",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f" {os.getpid()}\n".encode(), 0)  # as zc.lockfile does
        yield
    finally:
        os.close(descriptor)


def _opened(lock: Path, path: Path) -> int:
    """Open the lock file; a new one belongs to the owner of the data file."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(lock, flags)
    except FileNotFoundError:
        pass
    path.stat()  # no lock of what is not there
    try:
        descriptor = os.open(lock, flags | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return os.open(lock, flags)
    own_as(descriptor, path)
    return descriptor
