"""A FileStorage's file as it was at one moment, read only, whatever is appended to it since.

FileStorage only appends, and a pack puts another file in its place. So a hard link
to a data file, read up to a transaction, is that moment for ever, and takes no room.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ZODB.FileStorage import FileStorage
from ZODB.FileStorage.FileStorage import FileIterator
from ZODB.FileStorage.format import CorruptedError
from ZODB.TimeStamp import TimeStamp
from ZODB.utils import p64, u64, z64


class NotFrozen(Exception):
    """The file does not hold what it should: it is another one, or was changed in place."""


class FrozenFile(FileStorage):  # type: ignore[misc]
    """The data file at ``path`` up to the transaction TID, which ends at END.

    :raises NotFrozen: no transaction TID ends there, or what follows can be none
    """

    _file: Any = None

    def __init__(self, path: Path, tid: bytes, end: int, blob_dir: Path | None) -> None:
        self._frozen = (tid, end)
        try:
            super().__init__(
                str(path),
                read_only=True,
                stop=p64(u64(tid) + 1),
                blob_dir=None if blob_dir is None else str(blob_dir),
            )
        except UnicodeDecodeError as why:  # of the status of a transaction
            if self._file is not None:
                self._file.close()
            raise NotFrozen(f"{path}: no transaction begins where one should: {why}") from None
        if self._pos != end or self._tid_before(end) != tid:
            self.close()
            raise NotFrozen(f"{path}: transaction {tid.hex()} does not end at byte {end}")
        # FileStorage takes these from the transaction that it stopped at, if there is one
        self._ltid = tid
        self._ts = TimeStamp(tid)

    def _tid_before(self, end: int) -> bytes:
        """Return the tid of the transaction that ends at END."""
        self._file.seek(end - 8)
        start = end - 8 - u64(self._file.read(8))
        tid: bytes = self._read_txn_header(start).tid
        return tid

    def _sane(self, index: Any, pos: int) -> bytes | int:
        """Judge an index by all records of the last transaction that it knows.

        FileStorage's own check refuses a right one where an object stands twice
        in that transaction, as every blob that was stored through ZEO does.
        """
        tid, end = self._frozen
        if not 100 <= pos <= end:  # FileStorage takes none of less, either
            return 0
        try:
            found, last = self._records_before(pos)
        except (CorruptedError, OSError, ValueError, struct.error):
            return 0  # no transaction ends there: it is another file's
        if pos == end and found != tid:
            return 0
        return found if all(index.get(oid) == at for oid, at in last.items()) else 0

    def _records_before(self, end: int) -> tuple[bytes, dict[bytes, int]]:
        """Return the tid of the transaction that ends at END, and where each oid is in it."""
        self._file.seek(end - 8)
        length = u64(self._file.read(8))
        start = end - 8 - length
        header = self._read_txn_header(start)
        if header.tlen != length:
            raise ValueError("no transaction ends here")
        at, stop, last = start + header.headerlen(), start + length, {}
        while at < stop:
            record = self._read_data_header(at)
            last[record.oid] = at
            at += record.recordlen()
        return header.tid, last

    def iterator(self, start: bytes | None = None, stop: bytes | None = None) -> Iterator[Any]:
        """Yield the transactions; FileStorage's own iterator would go on to the end of the file."""
        last = self.lastTransaction()
        if start is not None and start > last:
            return
        found = FileIterator(self._file_name, None, last if stop is None else min(stop, last))
        found._file_size = self._pos  # or it would look at what is being written
        if start:
            found._skip_to_start(start)
        try:
            yield from found
        finally:
            found.close()


def least_oid(index: Any, after: bytes | None) -> bytes | None:
    """Return the least oid of the fsIndex from AFTER on; None: there is none.

    ``fsIndex.minKey`` skips oids where its argument falls between two prefixes.
    """
    key = after or z64
    for prefix in index._data.keys(key[:6]):
        bucket = index._data[prefix]
        if prefix != key[:6]:
            return bytes(prefix + bucket.minKey())
        try:
            return bytes(prefix + bucket.minKey(key[6:]))
        except ValueError:
            continue  # all of this bucket are less
    return None
