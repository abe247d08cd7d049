"""Rotating a log file on the disk: look at it, rename it, compress what is written no more."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from zmount.effects.log_writers import FileId
from zmount.plan.log_shift import OldLog, Shift, old_number

_NEW = ".new"  # what a compressed file is called until it is whole
_BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOnDisk:
    """A log as it is on the disk; ``file`` is None where it is not there.

    ``refused`` says why it cannot be rotated at all: it is a device, or a link.
    """

    path: PurePosixPath
    file: FileId | None = None
    size_bytes: int = 0
    old: tuple[OldLog, ...] = ()
    refused: str = ""


def log_on_disk(path: PurePosixPath) -> LogOnDisk:
    """Return the log PATH and its rotated files."""
    try:
        old = _old(path)
        status = Path(path).lstat()
    except (FileNotFoundError, NotADirectoryError):
        old = _old(path) if Path(path.parent).is_dir() else ()
        return LogOnDisk(path=path, old=old)
    except OSError as why:
        return LogOnDisk(path=path, refused=f"{why.filename} cannot be read: {why.strerror}")
    if not stat.S_ISREG(status.st_mode):
        return LogOnDisk(path=path, refused="it is no regular file")
    file = (status.st_dev, status.st_ino)
    return LogOnDisk(path=path, file=file, size_bytes=status.st_size, old=old)


def file_of(path: PurePosixPath) -> FileId | None:
    """Return which file PATH is now; None if there is none."""
    try:
        status = Path(path).lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def move_on(log: LogOnDisk, steps: Shift) -> None:
    """Do STEPS for the old files of LOG, then make LOG itself .1.

    :raises OSError: one of them cannot be done; what is done is done, and nothing is lost
    """
    directory = Path(log.path.parent)
    for name in steps.drops:
        (directory / name).unlink()
    for old, new in (*steps.renames, (log.path.name, f"{log.path.name}.1")):
        if os.path.lexists(directory / new):
            # somebody else rotates, or wrote it: what is there stays
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(directory / new))
        (directory / old).rename(directory / new)


def clear_up(log: LogOnDisk) -> None:
    """Finish what a crash in the middle of compressing left of LOG's old files.

    :raises OSError: it cannot be removed
    """
    directory = Path(log.path.parent)
    compressed = {each.number: each.modified_ns for each in log.old if each.is_compressed}
    for each in log.old:
        if not each.is_compressed and compressed.get(each.number) == each.modified_ns:
            with suppress(FileExistsError):  # they differ: both stay
                compress(log.path.parent / each.name)
    for entry in directory.iterdir() if directory.is_dir() else ():
        name = entry.name.removesuffix(_NEW)
        if name != entry.name and (old_number(log.path.name, name) or (0, False))[1]:
            entry.unlink()


def compress(path: PurePosixPath) -> int:
    """Replace the rotated log PATH by PATH.gz; return how many bytes that takes.

    PATH goes when PATH.gz is whole and on the disk; it keeps mode, owner and time. One that
    a crash left beside PATH is taken if it holds the same.

    :raises OSError: it cannot be read or written; PATH is as it was
    """
    target, new = Path(f"{path}.gz"), Path(f"{path}.gz{_NEW}")
    with open(path, "rb", opener=_no_link) as source:
        status = os.fstat(source.fileno())
        if target.exists():
            if not _holds_the_same(target, source):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        else:
            new.unlink(missing_ok=True)
            _write_compressed(source, new, status)
            new.rename(target)
        size = target.stat().st_size
        if os.fstat(source.fileno()).st_size != status.st_size:
            target.unlink()  # somebody wrote to it in spite of all: the next run's
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))
    Path(path).unlink()
    return size


def _write_compressed(source: BinaryIO, new: Path, status: os.stat_result) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(new, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as raw:
            if os.geteuid() == 0:
                os.fchown(raw.fileno(), status.st_uid, status.st_gid)
            os.fchmod(raw.fileno(), stat.S_IMODE(status.st_mode))
            with gzip.GzipFile("", "wb", 6, raw, status.st_mtime) as packed:
                shutil.copyfileobj(source, packed, _BLOCK)
            raw.flush()
            os.utime(raw.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
            os.fsync(raw.fileno())
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def _holds_the_same(target: Path, source: BinaryIO) -> bool:
    try:
        with gzip.open(target) as packed:
            while True:
                mine, theirs = source.read(_BLOCK), packed.read(_BLOCK)
                if mine != theirs:
                    return False
                if not mine:
                    return True
    except (EOFError, gzip.BadGzipFile):
        return False


def _old(path: PurePosixPath) -> tuple[OldLog, ...]:
    found: list[OldLog] = []
    for entry in os.scandir(path.parent):
        number = old_number(path.name, entry.name)
        if number is None or not entry.is_file(follow_symlinks=False):
            continue
        status = entry.stat(follow_symlinks=False)
        found.append(
            OldLog(
                name=entry.name,
                number=number[0],
                is_compressed=number[1],
                modified_ns=status.st_mtime_ns,
                file=(status.st_dev, status.st_ino),
            )
        )
    return tuple(found)


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)
