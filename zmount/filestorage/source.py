"""A FileStorage's file, open for reading: its bytes, its end, its records.

Nothing here takes a lock: the part of a FileStorage that is committed never
changes, it only grows, and a pack puts another file in its place.
"""

from __future__ import annotations

import mmap
import os
import stat
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zmount.errors import CorruptFile, StorageUnreadable
from zmount.filestorage.cores import chosen
from zmount.filestorage.format import (
    FIRST,
    MAGIC,
    MAGIC_OF_PYTHON_2,
    MAX_TID,
    REASONS,
    TRANSACTION_HEADER,
    new_cursor,
    words,
)

BATCH = 4096  # records: what a scan hands over at a time, 200 kB


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The first ``end`` bytes of a data file; ``inode`` tells it from one that replaced it."""

    path: Path
    buffer: memoryview
    end: int
    inode: int


@contextmanager
def open_source(path: str | os.PathLike[str], end: int | None = None) -> Iterator[Source]:
    """Open the data file at PATH up to END (by default: its end now).

    :raises StorageUnreadable: there is none, it is no FileStorage, or no permission
    """
    path = Path(path)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as why:
        raise StorageUnreadable(f"{path}: cannot be read: {why.strerror}") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            kind = "a directory" if stat.S_ISDIR(found.st_mode) else "no regular file"
            raise StorageUnreadable(f"{path}: this is {kind}, not a FileStorage")
        size = found.st_size if end is None else min(end, found.st_size)
        _must_begin_right(path, os.pread(descriptor, 4, 0))
        if end is not None and size < end:
            raise CorruptFile(path, size, f"the file ends here, not at {end}")
        mapped = mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
    except OSError as why:
        raise StorageUnreadable(f"{path}: cannot be read: {why.strerror}") from None
    finally:
        os.close(descriptor)
    buffer = memoryview(mapped)
    try:
        yield Source(path=path, buffer=buffer, end=size, inode=found.st_ino)
    finally:
        buffer.release()
        mapped.close()


def _must_begin_right(path: Path, magic: bytes) -> None:
    if magic == MAGIC:
        return
    if magic == MAGIC_OF_PYTHON_2:
        raise StorageUnreadable(
            f"{path}: Python 2 wrote this FileStorage; ZODB on Python 3 refuses it as it is",
            hint="convert a copy with zodbupdate",
        )
    what = "does not begin as a FileStorage does" if magic else "is empty"
    raise StorageUnreadable(f"{path}: the file {what}")


def batches(
    source: Source,
    cursor: array[int],
    end: int | None = None,
    *,
    until: int = MAX_TID,
    size: int = BATCH,
) -> Iterator[tuple[array[int], int]]:
    """Yield the records from the cursor on: an array of _records' words, and how many.

    The array is the same each time and is overwritten by the next batch.

    :raises CorruptFile: the file is damaged
    """
    core = chosen().records
    found = words(size * core.RECORD_FIELDS)
    stop = source.end if end is None else end
    while count := core.scan(source.buffer, cursor, stop, until, found):
        yield found, count
    raise_if_corrupt(source.path, cursor)


def raise_if_corrupt(path: Path, cursor: array[int]) -> None:
    """Raise the error that a cursor holds, if it holds one."""
    core = chosen().records
    if cursor[core.ERROR]:
        raise CorruptFile(path, cursor[core.ERROR_AT], REASONS[cursor[core.ERROR]])


def committed_end(source: Source, start: int = FIRST) -> int:
    """Return where the last complete transaction ends, from one at START on.

    A torn transaction at the end, or one that is being voted on (status "c"),
    is left out, as FileStorage leaves it out when it opens the file.
    """
    position, end, buffer = start, source.end, source.buffer
    while end - position >= TRANSACTION_HEADER + 8:
        length = int.from_bytes(buffer[position + 8 : position + 16], "big")
        after = position + length
        if buffer[position + 16] == ord("c") or after + 8 > end or length < TRANSACTION_HEADER:
            break
        if buffer[after : after + 8] != buffer[position + 8 : position + 16]:
            raise CorruptFile(source.path, position, REASONS[5])
        position = after + 8
    return position


def last_tid(source: Source, end: int) -> int:
    """Return the tid of the transaction that ends at END; 0 if there is none."""
    if end <= FIRST:
        return 0
    length = int.from_bytes(source.buffer[end - 8 : end], "big")
    start = end - 8 - length
    if start < FIRST:
        raise CorruptFile(source.path, end - 8, REASONS[2])
    return int.from_bytes(source.buffer[start : start + 8], "big")


def count_records(source: Source) -> int:
    """Return how many data records the source has, all of them checked."""
    cursor = new_cursor()
    return sum(count for _, count in batches(source, cursor))
