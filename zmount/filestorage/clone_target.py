"""The directory that a clone is made in: claimed by one, whole in the end or empty.

What is not finished lies in :data:`PART` in it. From there all is moved into
place, the data file last. What a killed clone left is removed by the next.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zmount.errors import ApplyRefused, Locked, StorageUnwritable
from zmount.filestorage.index import sync_directory

PART = ".zmount-clone"
LOCK = ".lock"  # in PART, as the next
MOVING = ".moving"  # its parts are being moved into place; says the data file's name
BLOBS = "blobs"


@contextmanager
def clone_target(directory: Path, like: os.stat_result) -> Iterator[Path]:
    """Yield a directory for what is not finished, in DIRECTORY; in the end it is gone.

    DIRECTORY is made if it is not there, with the owner of what LIKE is, and
    removed again if there is nothing in it after an error.

    :raises ApplyRefused: there is something in DIRECTORY
    :raises StorageUnwritable: no permission
    :raises Locked: another clone is being made there
    """
    is_new = not os.path.lexists(directory)
    try:
        _make(directory, like)
        with _claimed(directory / PART) as part:
            _recover(part)
            _must_be_empty(directory)
            yield part
    except BaseException:
        if is_new:
            with suppress(OSError):
                directory.rmdir()
        raise


def _make(directory: Path, like: os.stat_result) -> None:
    try:
        directory.mkdir()
        if os.geteuid() == 0:
            os.chown(directory, like.st_uid, like.st_gid)
    except FileExistsError:
        if not directory.is_dir():
            raise ApplyRefused(f"{directory}: a directory is needed here, not a file") from None
    except OSError as why:
        raise StorageUnwritable(f"{directory}: cannot be made: {why.strerror}") from None


@contextmanager
def _claimed(part: Path) -> Iterator[Path]:
    """Make the directory PART and hold its lock, which ends with this process; clear it."""
    try:
        descriptor = _opened(part)
    except BaseException:
        with suppress(OSError):
            part.rmdir()  # only if it is empty
        raise
    try:
        if not _is_locked(descriptor, part / LOCK):
            raise Locked(f"{part.parent}: another clone is being made here")
        try:
            yield part
        finally:
            with suppress(OSError):
                empty(part)
                (part / LOCK).unlink()
                part.rmdir()
    finally:
        os.close(descriptor)


def _opened(part: Path) -> int:
    try:
        part.mkdir(mode=0o700, exist_ok=True)
        if part.is_symlink() or part.stat().st_uid not in (0, os.geteuid()):
            raise ApplyRefused(f"{part} is another user's, or a link")
        return os.open(part / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as why:
        raise StorageUnwritable(f"{part}: cannot be made: {why.strerror}") from None


def _is_locked(descriptor: int, lock: Path) -> bool:
    """Lock the open file LOCK, if it is still that; return whether it is."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), lock.stat())
    except (BlockingIOError, FileNotFoundError):
        return False
    except OSError:
        return True  # a file system without locks


def _recover(part: Path) -> None:
    """Remove what a clone left that was killed, also what it had moved into place already."""
    moving = part / MOVING
    if moving.exists():
        name = Path(moving.read_text()).name
        if not (part.parent / name).exists():
            _remove(part.parent / BLOBS)
            _remove(part.parent / f"{name}.index")
    empty(part)


def _must_be_empty(directory: Path) -> None:
    there = sorted(each.name for each in directory.iterdir() if each.name != PART)
    if there:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise ApplyRefused(
            f"{directory} is not empty: there is {there[0]}{more}",
            hint="name a directory that is empty or not there yet",
        )


def move_into_place(part: Path, name: str) -> None:
    """Move everything from PART to the directory that it is in, the data file NAME last.

    :raises OSError: no space, or the disk is broken
    """
    directory = part.parent
    (part / MOVING).write_text(name)
    sync_directory(part)
    for each in (BLOBS, f"{name}.index"):
        if (part / each).exists():
            (part / each).rename(directory / each)
    sync_directory(directory)
    (part / name).rename(directory / name)
    sync_directory(directory)
    sync_directory(directory.parent)


def empty(part: Path) -> None:
    """Remove what is in PART, but for the lock."""
    for each in part.iterdir():
        if each.name != LOCK:
            _remove(each)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
