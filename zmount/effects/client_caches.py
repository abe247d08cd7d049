"""Files of ZEO clients' persistent caches: who uses one, and removing one that nobody does."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from zmount.effects.diagnosis import locked_by
from zmount.effects.file_lock import holder
from zmount.effects.process_table import Owner, opener
from zmount.errors import Locked

MAGIC = b"ZEC"  # ZEO/cache.py; the number of its format follows


def is_cache(path: Path) -> bool:
    """True if PATH itself, and not what it links to, is a ZEO client's cache.

    Zope's user may write where it is: what he makes of it must not let root remove
    another file.

    :raises OSError: it is there, and cannot be read
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    with os.fdopen(descriptor, "rb") as file:
        return stat.S_ISREG(os.fstat(descriptor).st_mode) and file.read(len(MAGIC)) == MAGIC


def user_of(path: Path) -> Owner | None:
    """Return the process that uses the cache PATH, or None if none does.

    :raises OSError: that may not be seen
    """
    return holder(_lock(path)) or opener(path)


def remove_cache(path: Path) -> None:
    """Remove the cache PATH, under the lock that its client would take.

    The lock file stays, as ZEO leaves it: who has opened it before, and locks it after
    it is gone, would not be alone.

    :raises Locked: a process uses it
    :raises OSError: it cannot be removed
    """
    with _locked(path):
        if by := opener(path):
            raise Locked(f"{path}: {by} has it open")
        path.unlink()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of the cache PATH, if it has ever been locked."""
    try:
        descriptor = os.open(_lock(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        yield  # nobody makes one meanwhile but a client that starts, and keeps what it opened
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            by = locked_by(PurePosixPath(_lock(path))) or Owner(pid=None)
            raise Locked(f"{path}: {by} has it open") from None
        yield
    finally:
        os.close(descriptor)


def _lock(path: Path) -> Path:
    """Return the lock file of the cache PATH. Source: ``ZEO.cache.ClientCache``."""
    return path.with_name(path.name + ".lock")
