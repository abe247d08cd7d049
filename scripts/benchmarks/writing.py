"""Writes the file of a FileStorage in bulk: millions of records a minute.

ZODB needs ten times as long, because it loads, keeps and compares objects. A
benchmark only needs the file that would come out. So the caller says each
object's oid, class and state, and they are pickled as ``ZODB.serialize`` does
it: two pickles with one memo, references as persistent ids.

Source: ZODB/FileStorage/format.py, ZODB/serialize.py.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from io import BytesIO
from pathlib import Path
from pickle import Pickler
from time import gmtime
from types import TracebackType
from typing import Any, NamedTuple

from persistent.timestamp import TimeStamp
from ZODB.blob import FilesystemHelper
from ZODB.FileStorage import packed_version
from ZODB.fsIndex import fsIndex

DATA_HEADER = struct.Struct(">8s8sQQHQ")  # oid, tid, previous, transaction, 0, length
TRANSACTION_HEADER = struct.Struct(">8sQcHHH")
EPOCH_S = 1704067200  # 2024-01-01: when the first transaction is said to happen
STEP_S = 10  # between two transactions
BUFFER = 1 << 22


class Reference(NamedTuple):
    """What a state holds in place of another object: a persistent id."""

    persistent_id: Any


def reference(oid: int, of: type) -> Reference:
    """Return a reference to the object OID, whose class is OF."""
    return Reference((oid.to_bytes(8, "big"), of))


def weak_reference(oid: int) -> Reference:
    """Return a weak reference to the object OID."""
    return Reference(["w", (oid.to_bytes(8, "big"),)])


def _persistent_id(value: object) -> Any:
    return value.persistent_id if type(value) is Reference else None


class Database:
    """A FileStorage being written, from an empty file on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records = 0
        self.starts = array("Q")  # of the transactions
        self._positions = array("Q")  # by oid: its last record, 0 if it has none
        self._file = path.open("wb", BUFFER)
        self._file.write(packed_version)
        self._end = 4
        self._pending: dict[int, tuple[bytes, int]] = {}  # by oid: data, or a back pointer
        self._pickled = BytesIO()
        self._pickler = Pickler(self._pickled, 3)
        self._pickler.persistent_id = _persistent_id  # type: ignore[method-assign]
        self._blobs = FilesystemHelper(f"{path}.blobs", "bushy")

    def __enter__(self) -> Database:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def new_oids(self, count: int) -> int:
        """Return the first of COUNT new oids in a row."""
        first = len(self._positions)
        self._positions.extend(bytes(count))
        return first

    def store(self, oid: int, of: type, state: object) -> None:
        """Write, at the next commit, that the object OID of class OF is now STATE."""
        pickled, pickler = self._pickled, self._pickler
        pickled.seek(0)
        pickler.clear_memo()
        pickler.dump(of)
        pickler.dump(state)
        pickled.truncate()
        self._pending[oid] = (pickled.getvalue(), 0)

    def store_blob(self, oid: int, content: bytes) -> None:
        """Write the blob's file at once, as of the next commit; its record is `store`'s job."""
        if not Path(self._blobs.base_dir).exists():
            self._blobs.create()
        self._blobs.getPathForOID(oid.to_bytes(8, "big"), create=True)
        path = Path(self._blobs.getBlobFilename(oid.to_bytes(8, "big"), self._next_tid()))
        path.write_bytes(content)
        path.chmod(0o400)

    def position(self, oid: int) -> int:
        """Return where the last record of OID is; 0 if it has none."""
        return self._positions[oid]

    def undo(self, before: dict[int, int]) -> None:
        """Undo, at the next commit, the changes of objects whose last record BEFORE was there."""
        self._pending.update((oid, (b"", back)) for oid, back in before.items())

    def commit(self, user: bytes = b"", description: bytes = b"") -> None:
        """Write what was stored as one transaction."""
        positions, tid, start = self._positions, self._next_tid(), self._end
        parts = [b"", user, description]
        here = start + TRANSACTION_HEADER.size + len(user) + len(description)
        for oid, (data, back) in self._pending.items():
            parts.append(
                DATA_HEADER.pack(oid.to_bytes(8, "big"), tid, positions[oid], start, 0, len(data))
            )
            parts.append(data or back.to_bytes(8, "big"))
            positions[oid] = here
            here += DATA_HEADER.size + len(parts[-1])
        parts[0] = TRANSACTION_HEADER.pack(tid, here - start, b" ", len(user), len(description), 0)
        parts.append((here - start).to_bytes(8, "big"))
        self._file.write(b"".join(parts))
        self._end = here + 8
        self.starts.append(start)
        self.records += len(self._pending)
        self._pending.clear()

    def save_index(self) -> None:
        """Flush the file and save its index beside it."""
        self._file.flush()
        index = fsIndex()
        for oid, position in enumerate(self._positions):
            if position:
                index[oid.to_bytes(8, "big")] = position
        index.save(self._end, f"{self.path}.index")

    def middle_time(self) -> float:
        """Return the time, in seconds, of the transaction in the middle of the file."""
        return EPOCH_S + STEP_S * (bisect_right(self.starts, self._end // 2) - 1)

    @property
    def size(self) -> int:
        """How many bytes the file has so far."""
        return self._end

    @property
    def objects(self) -> int:
        """How many objects were ever written."""
        return sum(map(bool, self._positions))

    def _next_tid(self) -> bytes:
        time_s = EPOCH_S + STEP_S * len(self.starts)
        year, month, day, hour, minute, second, *_ = gmtime(time_s)
        return bytes(TimeStamp(year, month, day, hour, minute, second).raw())
