"""A FileStorage of changes over a frozen file: what a staging storage is after a swap.

A subclass of FileStorage, so that it keeps all that FileStorage can do; what must
look at both files is overridden. An object is in the changes if it was written
since, else in the base. ZODB's DemoStorage is made for this, too; behind ZEO it
deadlocks the server (tpc_begin holds its lock and waits for the commit lock, a
pack the other way round), and reads old revisions wrongly.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ZODB.POSException import ConflictError, POSKeyError, StorageTransactionError
from ZODB.TimeStamp import TimeStamp
from ZODB.utils import load_current, p64, u64, z64

from zmount.filestorage.packer import pack as packer
from zmount.server.changes_file import ChangesFile
from zmount.server.frozen import FrozenFile, least_oid


class Overlay(ChangesFile):
    """Changes in the file PATH over BASE.

    :param floor: no transaction here is older, and the storage says that its
        last one is not, either
    :param packed: the time of the last pack; between the base and it, revisions
        may be missing
    :param note_pack: called with the time of a pack before it begins; what it
        notes must be on the disk when it returns
    """

    # a pack must keep what says that an object of the base is deleted
    zmount_keeps_deleted = True
    _ts: Any

    def __init__(
        self,
        path: Path,
        base: FrozenFile,
        *,
        blob_dir: Path | None,
        floor: bytes = z64,
        packed: bytes = z64,
        note_pack: Callable[[bytes], None] = lambda tid: None,
    ) -> None:
        self.base = base
        self.floor: bytes = max(floor, base.lastTransaction())
        self.packed = packed
        self._note_pack = note_pack
        super().__init__(
            str(path),
            pack_gc=False,
            pack_keep_old=False,
            packer=packer,
            blob_dir=None if blob_dir is None else str(blob_dir),
        )
        self.set_max_oid(base._oid)
        self.raise_floor(self.floor)

    def raise_floor(self, floor: bytes) -> None:
        """Let all transactions to come be later than FLOOR, whatever the clock says."""
        self.floor = max(self.floor, floor)
        self._ts = max(self._ts, TimeStamp(self.floor))

    def close(self) -> None:
        super().close()
        self.base.close()

    # reading

    def _is_in_base(self, oid: bytes) -> bool:
        return oid not in self._index

    def load(self, oid: bytes, version: str = "") -> tuple[bytes, bytes]:
        found: tuple[bytes, bytes] = load_current(self, oid)
        return found

    def loadBefore(self, oid: bytes, tid: bytes) -> tuple[bytes, bytes, bytes | None] | None:
        if self._is_in_base(oid):
            return self.base.loadBefore(oid, tid)  # type: ignore[no-any-return]
        found = super().loadBefore(oid, tid)
        if found is not None:
            return found  # type: ignore[no-any-return]
        first = self._first_tid(oid)
        if first <= self.packed:
            return None  # a pack may have dropped the one that was meant
        try:
            found = self.base.loadBefore(oid, tid)
        except POSKeyError:
            return None
        if found is not None and found[2] is None:
            found = (*found[:2], first)
        return found  # type: ignore[no-any-return]

    def _first_tid(self, oid: bytes) -> bytes:
        """Return the tid of the first change of an object."""
        with self._files.get() as file:
            position = self._lookup_pos(oid)
            while position:
                header = self._read_data_header(position, oid, file)
                position = header.prev
        tid: bytes = header.tid
        return tid

    def getTid(self, oid: bytes) -> bytes:
        tid: bytes = self.base.getTid(oid) if self._is_in_base(oid) else super().getTid(oid)
        return tid

    def lastTid(self, oid: bytes) -> bytes | None:
        """Return the tid of the object's last revision, None without one."""
        try:
            return self.getTid(oid)
        except KeyError:
            return None

    def loadSerial(self, oid: bytes, serial: bytes) -> bytes:
        try:
            return super().loadSerial(oid, serial)  # type: ignore[no-any-return]
        except POSKeyError:
            return self.base.loadSerial(oid, serial)  # type: ignore[no-any-return]

    def loadBlob(self, oid: bytes, serial: bytes) -> str:
        try:
            return super().loadBlob(oid, serial)  # type: ignore[no-any-return]
        except POSKeyError:
            return self.base.loadBlob(oid, serial)  # type: ignore[no-any-return]

    def history(self, oid: bytes, size: int = 1, filter: Any = None) -> list[dict[str, Any]]:
        if self._is_in_base(oid):
            return self.base.history(oid, size, filter)  # type: ignore[no-any-return]
        found: list[dict[str, Any]] = super().history(oid, size, filter)
        if len(found) < size:
            try:
                found += self.base.history(oid, size - len(found), filter)
            except POSKeyError:
                pass  # it was created here
        return found

    def lastTransaction(self) -> bytes:
        last: bytes = super().lastTransaction()
        return max(last, self.floor)

    def iterator(self, start: bytes | None = None, stop: bytes | None = None) -> Iterator[Any]:
        yield from self.base.iterator(start, stop)
        yield from super().iterator(start, stop)

    def record_iternext(
        self, next: bytes | None = None
    ) -> tuple[bytes, bytes, bytes, bytes | None]:
        found = self._next_record(next or z64)
        if found is None:
            raise ValueError("no more records")
        after = self._next_record(p64(u64(found[0]) + 1))
        return (*found, None if after is None else after[0])

    def _next_record(self, start: bytes) -> tuple[bytes, bytes, bytes] | None:
        """Return oid, tid and data of the first object from START on that is there."""
        oid = self._least_oid(start)
        while oid is not None:
            try:
                data, tid = load_current(self, oid)
            except POSKeyError:
                oid = self._least_oid(p64(u64(oid) + 1))  # it was deleted
            else:
                return oid, tid, data
        return None

    def _least_oid(self, after: bytes | None) -> bytes | None:
        found = (least_oid(index, after) for index in (self._index, self.base._index))
        return min((oid for oid in found if oid is not None), default=None)

    def __len__(self) -> int:
        """Return how many objects there are in the base, or were created since."""
        top, count = self.base._oid, len(self.base)
        for prefix, bucket in self._index._data.items(top[:6]):
            of_this = bucket if prefix > top[:6] else bucket.keys(top[6:], None, True)
            count += len(of_this)
        return count

    # writing

    def tpc_begin(self, transaction: Any, tid: bytes | None = None, status: str = " ") -> None:
        super().tpc_begin(transaction, tid, status)
        self._ts = max(self._ts, TimeStamp(self.floor))  # TID may be older, of what is restored

    def store(
        self, oid: bytes, oldserial: bytes, data: bytes, version: str, transaction: Any
    ) -> None:
        if transaction is not self._transaction:
            raise StorageTransactionError(self, transaction)
        if self._is_in_base(oid):
            try:
                committed = self.base.getTid(oid)
            except POSKeyError:
                committed = oldserial
            if committed != oldserial:
                data = self.tryToResolveConflict(oid, committed, oldserial, data)
                self._resolved.append(oid)
        super().store(oid, oldserial, data, version, transaction)

    def deleteObject(self, oid: bytes, oldserial: bytes, transaction: Any) -> None:
        if transaction is not self._transaction:
            raise StorageTransactionError(self, transaction)
        if not self._is_in_base(oid):
            super().deleteObject(oid, oldserial, transaction)
            return
        committed = self.base.getTid(oid)
        if committed != oldserial:
            raise ConflictError(oid=oid, serials=(committed, oldserial))
        self.restore(oid, self._tid, None, "", None, transaction)

    def _transactionalUndoRecord(self, oid: bytes, pos: int, tid: bytes, pre: int) -> Any:
        """Undo the first change of an object of the base by writing what the base has.

        FileStorage would take the change for the object's creation, and undo that.
        """
        data, previous, position = super()._transactionalUndoRecord(oid, pos, tid, pre)
        if data or previous:
            return data, previous, position
        try:
            data, serial = load_current(self.base, oid)
        except POSKeyError:
            return data, previous, position  # it was created here
        if self.blob_dir and self.is_blob_record(data):
            descriptor, name = tempfile.mkstemp(dir=self.temporaryDirectory())
            with (
                os.fdopen(descriptor, "wb") as copy,
                Path(self.base.loadBlob(oid, serial)).open("rb") as blob,
            ):
                shutil.copyfileobj(blob, copy)
            self._blob_storeblob(oid, self._tid, name)
        return data, previous, position

    def pack(self, t: float, referencesf: Any, gc: bool | None = None) -> None:
        """Pack the changes' history; garbage stays, since only the base knows what it needs.

        :raises TypeError: garbage collection is asked for
        """
        if gc:
            raise TypeError("a stage collects no garbage: what lies below it may refer to it")
        stop = TimeStamp(*time.gmtime(t)[:5], t % 60).raw()
        self.packed = max(self.packed, min(stop, self._ltid))
        self._note_pack(self.packed)
        super().pack(t, referencesf, gc=False)
