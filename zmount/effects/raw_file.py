"""A FileStorage's file, read beside its owner: no lock is taken, nothing is written.

The saved index says where an object's last record is, and what was written since is
scanned; so opening takes as long for 2 GB as for 100 MB. FileStorage would build the
whole index in memory first.
"""

from __future__ import annotations

import os
from contextlib import ExitStack

from zmount.errors import CorruptFile, StorageUnreadable
from zmount.filestorage.cores import chosen
from zmount.filestorage.format import DATA_HEADER, FIRST, new_cursor, oid_text
from zmount.filestorage.index import SavedIndex, read_index, sorted_pairs
from zmount.filestorage.objects import Table, scan
from zmount.filestorage.source import (
    Source,
    batches,
    committed_end,
    open_source,
    read_at,
    start_before,
)

BACK_POINTER = 8  # bytes, follow a header where the pickle's length is 0
LONGEST_CHAIN = 64  # of back pointers


class DataFile:
    """The data file PATH as it was when this was made: RawStorage's methods.

    :raises StorageUnreadable: there is none, it is no FileStorage, no permission
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._opened = ExitStack()
        try:
            self.source: Source = self._opened.enter_context(open_source(path))
            self._saved = _saved_index(self.source)
            start = FIRST if self._saved is None else self._saved.position
            self.end = committed_end(self.source, start)
            self._later = _scanned(self.source, start, self.end)
        except BaseException:
            self._opened.close()
            raise

    def loadBefore(self, oid: bytes, tid: bytes) -> tuple[bytes, bytes, bytes | None] | None:
        """Return the newest record of OID; None: there is none. TID must be the highest."""
        position = self.position(int.from_bytes(oid, "big"))
        pickle = self._pickle(position) if position else None
        if pickle is None:
            return None
        return pickle, read_at(self.source, position + 8, 8), None

    def position(self, oid: int) -> int:
        """Return where the last record of OID is; 0: it has none.

        :raises StorageUnreadable: the file was changed in place
        """
        later = self._later.word(oid) >> self._later.core.SHIFT if self._later else 0
        position = later or (self._saved.position_of(oid) if self._saved else 0)
        if not position or self._oid_at(position) == oid:
            return position
        if self._saved is None:
            raise StorageUnreadable(
                f"{self.source.path}: at byte {position} is no record of oid {oid_text(oid)}",
                hint="zmount verify says whether the file is damaged",
            )
        self._saved = None  # it is another file's index: the file itself tells
        self._later = scan(self.source, self.end).table
        return self.position(oid)

    def __len__(self) -> int:
        """Return how many objects there are, garbage included."""
        if self._later is None:
            return len(self._saved) if self._saved else 0
        if self._saved is None:
            return self._later.count
        later = sorted_pairs(self._later)[::2]
        return len(self._saved) + sum(not self._saved.position_of(oid) for oid in later)

    def stored_bytes(self, position: int) -> int:
        """Return how many bytes of the file the record at POSITION takes."""
        return DATA_HEADER + (self._length(position) or BACK_POINTER)

    def close(self) -> None:
        """Close the file."""
        self._opened.close()

    def _oid_at(self, position: int) -> int:
        return int.from_bytes(read_at(self.source, position, 8), "big")

    def _length(self, position: int) -> int:
        return int.from_bytes(read_at(self.source, position + 34, 8), "big")

    def _pickle(self, position: int) -> bytes | None:
        """Return the pickles of the record at POSITION; None: the object's creation was undone."""
        for _ in range(LONGEST_CHAIN):
            length = self._length(position)
            if length:
                return read_at(self.source, position + DATA_HEADER, self._sound(length, position))
            position = int.from_bytes(
                read_at(self.source, position + DATA_HEADER, BACK_POINTER), "big"
            )
            if not position:
                return None
        raise self._damaged(position)

    def _sound(self, length: int, position: int) -> int:
        if position + DATA_HEADER + length > self.end:
            raise self._damaged(position)
        return length

    def _damaged(self, position: int) -> StorageUnreadable:
        return StorageUnreadable(
            f"{self.source.path}: damaged at byte {position}",
            hint="zmount verify says what is damaged",
        )


def _saved_index(source: Source) -> SavedIndex | None:
    """Return the index beside the file if it belongs to it; None: it does not, or is none.

    As FileStorage judges it: by the last transaction that the index knows.
    """
    try:
        saved = read_index(f"{source.path}.index")
    except StorageUnreadable:
        return None
    if saved is None or not FIRST <= saved.position <= source.end:
        return None
    if saved.position == FIRST:
        return saved if not saved.buckets else None
    start = start_before(source, saved.position)
    if start is None:
        return None
    last: dict[int, int] = {}
    fields = chosen().records.RECORD_FIELDS
    try:
        for found, count in batches(source, new_cursor(start), saved.position):
            for at in range(0, fields * count, fields):
                last[found[at]] = found[at + 1]
    except CorruptFile:
        return None  # it ends where no transaction does
    return saved if all(saved.position_of(oid) == at for oid, at in last.items()) else None


def _scanned(source: Source, start: int, end: int) -> Table | None:
    """Return where the records from START to END are; None: there is none."""
    if start == FIRST and end > FIRST:
        return scan(source, end).table
    table = None
    for found, count in batches(source, new_cursor(start), end) if start < end else ():
        table = Table() if table is None else table
        table.note(found, count)
    return table
