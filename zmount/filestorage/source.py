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
    STATUSES,
    TRANSACTION_HEADER,
    VOTED,
    new_cursor,
    words,
)

ATTEMPTS = 10  # to map a file that becomes shorter at that very moment
BELIEVED = 4  # transactions at the end that must fit together
BATCH = 4096  # records: what a scan hands over at a time, 200 kB


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The first ``end`` bytes of a data file; ``inode`` tells it from one that replaced it.

    Of ``buffer`` only what is committed may be touched: see :func:`committed_end`.
    ``descriptor`` is that of the open file; None: there is but the buffer.
    """

    path: Path
    buffer: memoryview
    end: int
    inode: int
    descriptor: int | None = None


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
        found, mapped = _mapped(path, descriptor, end)
        buffer = memoryview(mapped)
        try:
            yield Source(
                path=path,
                buffer=buffer,
                end=len(mapped),
                inode=found.st_ino,
                descriptor=descriptor,
            )
        finally:
            buffer.release()
            mapped.close()
    finally:
        os.close(descriptor)


def _mapped(path: Path, descriptor: int, end: int | None) -> tuple[os.stat_result, mmap.mmap]:
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            kind = "a directory" if stat.S_ISDIR(found.st_mode) else "no regular file"
            raise StorageUnreadable(f"{path}: this is {kind}, not a FileStorage")
        _must_begin_right(path, os.pread(descriptor, 4, 0))
        for _ in range(ATTEMPTS):
            size = os.fstat(descriptor).st_size if end is None else end
            if os.fstat(descriptor).st_size < size:
                raise CorruptFile(path, found.st_size, f"the file ends here, not at {end}")
            try:
                return found, mmap.mmap(descriptor, size, prot=mmap.PROT_READ)
            except ValueError:  # mmap's, which looks at the size once more
                if end is not None:
                    break
                # else: a FileStorage cuts off what it had voted on, when that is aborted
        left = os.fstat(descriptor).st_size
    except OSError as why:
        raise StorageUnreadable(f"{path}: cannot be read: {why.strerror}") from None
    raise StorageUnreadable(
        f"{path}: it was truncated while it was read, from {size} bytes or more to {left}"
    )


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
    is left out, as FileStorage leaves it out when it opens the file. But where
    sound transactions follow what looks torn, the file is damaged; FileStorage
    would cut it there.

    :raises CorruptFile: the file is damaged
    """
    position, end = start, source.end
    reason = 0
    while end - position >= TRANSACTION_HEADER + 8:
        head = read_at(source, position, TRANSACTION_HEADER)
        length = int.from_bytes(head[8:16], "big")
        if reason := _why_torn(head, end - position - 8):
            break
        if read_at(source, position + length, 8) != head[8:16]:
            reason = 5
            break
        position += length + 8
    if position < end and (reason == 5 or (last_end(source) or 0) > position):
        raise CorruptFile(source.path, position, REASONS[reason or 1])
    return position


def _why_torn(head: bytes, room: int) -> int:
    """Return a reason why a transaction with this header is not complete; 0: it is."""
    length = int.from_bytes(head[8:16], "big")
    if length > room:
        return 2
    if head[16] == VOTED:
        return 4
    return 3 if length < header_length(head) else 0


def header_length(head: bytes) -> int:
    """Return how long a transaction's header is with user, description and extension."""
    return TRANSACTION_HEADER + sum(int.from_bytes(head[at : at + 2], "big") for at in (17, 19, 21))


def last_end(source: Source) -> int | None:
    """Return where the last complete transaction ends, judged by the end of the file alone.

    None if that tells nothing: something torn is there. This is quick, and right
    unless something torn ends as a FileStorage does.
    """
    end, top, after = source.end, source.end, MAX_TID + 1
    for _ in range(BELIEVED):
        if top == FIRST:
            break
        start = start_before(source, top)
        if start is None:
            return None
        head = read_at(source, start, TRANSACTION_HEADER)
        tid = int.from_bytes(head[:8], "big")
        is_voted = head[16] == VOTED and top == source.end
        if not (is_voted or head[16] in STATUSES) or tid >= after:
            return None
        if is_voted:
            end = start
        top, after = start, tid
    return end


def torn_bytes(path: str | os.PathLike[str]) -> int:
    """Return how many bytes at the end of PATH are no whole transaction.

    FileStorage cuts them off when it opens the file to write to it.

    :raises StorageUnreadable: it is no FileStorage, or damaged
    """
    with open_source(path) as source:
        end = last_end(source)
        return source.end - (committed_end(source) if end is None else end)


def start_before(source: Source, end: int) -> int | None:
    """Return where the transaction that ends at END starts; None: nothing sound ends there."""
    if end - FIRST < TRANSACTION_HEADER + 8:
        return None
    length = int.from_bytes(read_at(source, end - 8, 8), "big")
    start = end - 8 - length
    if start < FIRST or length < TRANSACTION_HEADER:
        return None
    head = read_at(source, start, TRANSACTION_HEADER)
    is_same = int.from_bytes(head[8:16], "big") == length and header_length(head) <= length
    return start if is_same else None


def read_at(source: Source, position: int, count: int) -> bytes:
    """Read what may be cut off any moment: an aborted vote truncates the file.

    To touch a page of a mapping that is gone would kill the process. What is
    gone is read as zeros.
    """
    if source.descriptor is None:
        return bytes(source.buffer[position : position + count])
    try:
        return os.pread(source.descriptor, count, position).ljust(count, b"\0")
    except OSError as why:
        raise StorageUnreadable(
            f"{source.path}: byte {position} cannot be read: {why.strerror}"
        ) from None


def last_tid(source: Source, end: int) -> int:
    """Return the tid of the transaction that ends at END; 0 if there is none."""
    if end <= FIRST:
        return 0
    start = start_before(source, end)
    if start is None:
        raise CorruptFile(source.path, end - 8, REASONS[5])
    return int.from_bytes(read_at(source, start, 8), "big")


def count_records(source: Source) -> int:
    """Return how many data records the source has, all of them checked."""
    cursor = new_cursor()
    return sum(count for _, count in batches(source, cursor))
