"""Removing large files without a stall for those who commit on the same file system.

A file system gives back the blocks of a whole file in one transaction of its journal,
and where it also tells the disk (mount option discard), every fsync meanwhile waits for
that: some 50 ms for 2 GB, again and again.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

LARGE = 1 << 25  # bytes; what is smaller goes at once
PIECE = 1 << 23


def removal(path: Path) -> Iterator[None]:
    """Remove the file PATH, a large one piece by piece.

    Only what nobody else can see any more is cut: it has no other name, and that a lease
    is to be had says that nobody has it open. Else its blocks go when the last one closes it.

    :raises OSError: it cannot be removed
    """
    if path.is_symlink() or path.lstat().st_size < LARGE:
        path.unlink()
        return
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except PermissionError:
        path.unlink()
        return
    try:
        path.unlink()
        with suppress(OSError):  # in use, or a file system without leases
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
            fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)  # else SIGIO could end us
            found = os.fstat(descriptor)
            if not found.st_nlink:
                for size in range(found.st_size - PIECE, 0, -PIECE):
                    os.ftruncate(descriptor, size)
                    yield
    finally:
        os.close(descriptor)
