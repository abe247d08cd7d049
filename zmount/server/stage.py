"""A storage whose content is replaced by production's while clients use it.

Until the first swap it is the FileStorage at ``path``. A swap makes a generation:
production as it is now, and an empty file of changes over it. Then, in one call
of the ZEO server's event loop, it takes the place of the content before:

1. nobody is committing, and nobody can begin to (the gate)
2. the swap has a tid of its own, the floor, newer than all that a client has seen
3. the generation becomes the current one on the disk
4. transactions that are open are undone, clients disconnected, and the storage
   answers from the new content
5. what a client asks for as of before the floor is a ReadConflictError; what it
   remembers from before, the server tells it to forget, also after a restart

What takes long (links, copies, the index, old generations) is done before or
after it, by another thread or process.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import zope.interface
from zc.lockfile import LockFile
from ZODB.Connection import TransactionMetaData
from ZODB.POSException import ReadConflictError
from ZODB.TimeStamp import TimeStamp
from ZODB.utils import p64, u64, z64

from zmount.filestorage.pack_files import read_json
from zmount.server.blob_pool import drop, list_dropped
from zmount.server.building import Builder, Built
from zmount.server.content import OID_RANGE, open_content
from zmount.server.freezing import SwapRefused
from zmount.server.gate import Gate, disconnect
from zmount.server.generations import Generation, Generations, remove
from zmount.server.settings import StageSettings

STILL_READING_S = 0.5  # so long some thread may be in a method of the content before
# what is answered by the content, whichever that is
DELEGATED = (
    "checkCurrentSerialInTransaction cleanup copyTransactionsFrom deleteObject getTid history "
    "is_blob_record isReadOnly iterator lastTid lastTransaction load loadBlob loadSerial new_oid "
    "openCommittedBlobFile record_iternext restore restoreBlob set_max_oid store storeBlob "
    "supportsUndo temporaryDirectory tpc_abort tpc_begin tpc_finish tpc_transaction tpc_vote undo "
    "undoInfo undoLog"
)

log = logging.getLogger(__name__)


class StageStorage:
    """See the module. Of its own it has what a swap is about; all else is its content's.

    :raises LockError: another process has it open
    """

    def __init__(self, settings: StageSettings) -> None:
        self.settings = settings
        self.__name__ = settings.name
        settings.generations.mkdir(parents=True, exist_ok=True)
        self.generations = Generations(settings.generations)
        self._lock_file = LockFile(str(self.generations.lock))
        self._db: Any = None
        self._resolver: Any = None
        self._busy = threading.Lock()
        self.phase = "idle"
        try:
            self._open()
        except BaseException:
            self._lock_file.close()
            raise

    def _open(self) -> None:
        for name in self.generations.remove_leftovers():
            log.warning("%s: removed %s, which a swap left half built", self.__name__, name)
        self.generation = self.generations.current
        self._content = open_content(self.settings, self.generations, self.generation)
        self._floor = self._floor_of(self.generation)
        zope.interface.directlyProvides(self, zope.interface.providedBy(self._content))

    def _floor_of(self, generation: Generation | None) -> bytes:
        if generation is None:
            return bytes.fromhex(read_json(self.generations.plain_note).get("floor", "")) or z64
        return bytes.fromhex(generation.meta.floor) or z64

    def close(self) -> None:
        """Close the content; a swap that is going on fails."""
        self._content.close()
        self._lock_file.close()

    # what a ZEO server asks

    def loadBefore(self, oid: bytes, tid: bytes) -> Any:
        """As FileStorage's; a transaction that began before the last swap gets a conflict.

        It would see some objects as they were before, and some as they are now.
        """
        if tid <= self._floor and self._floor != z64:
            raise ReadConflictError(
                "the content of this storage was replaced", oid=oid, serials=(self._floor, tid)
            )
        return self._content.loadBefore(oid, tid)

    def lastInvalidations(self, count: int) -> list[tuple[bytes, list[bytes]]]:
        """Return what the last COUNT transactions changed, at most from the last swap on.

        A client that has seen less than that is told that its cache is too old.
        """
        if self._floor == z64:
            return list(self._content.lastInvalidations(count))
        size = 1  # FileStorage reads the transactions whole, in the event loop
        while True:
            found = list(self._content.lastInvalidations(min(size, count)))
            if size >= count or not found or found[0][0] <= self._floor:
                break
            size *= 2
        return [each for each in found if each[0] >= self._floor] or [(self._floor, [])]

    def pack(self, t: float, referencesf: Any) -> None:
        """Pack the content: of a generation the changes, without garbage collection."""
        self._content.pack(t, referencesf)

    def getSize(self) -> int:
        """Return the bytes of the data files."""
        base = getattr(self._content, "base", None)
        size: int = self._content.getSize()
        return size if base is None else size + base.getSize()

    def __len__(self) -> int:
        return len(self._content)

    def getName(self) -> str:
        """Return the storage's name, whatever its content."""
        return self.__name__

    sortKey = getName

    @property
    def fshelper(self) -> Any:
        """Where blobs are that are stored now."""
        return self._content.fshelper

    @property
    def blob_dir(self) -> Any:
        """The directory of blobs that are stored now."""
        return self._content.blob_dir

    @property
    def tryToResolveConflict(self) -> Any:
        """How conflicts are resolved; a ZEO server may set it."""
        return self._content.tryToResolveConflict

    @tryToResolveConflict.setter
    def tryToResolveConflict(self, resolver: Any) -> None:
        self._resolver = resolver
        self._content.tryToResolveConflict = resolver

    def registerDB(self, db: Any) -> None:
        """Take in who serves this storage."""
        self._db = db
        self._content.registerDB(db)
        server = getattr(db, "server", None)
        if server is not None and not hasattr(server, "zmount_guarded"):
            _guard_invalidations(server)

    # the swap

    def swap(self, mode: str = "", progress: Any = lambda phase, done, total: None) -> Built:
        """Let production's content, as it is now, be the content.

        :raises SwapRefused: it cannot be done; nothing is changed
        """
        with self._alone():
            builder = Builder(
                settings=self.settings,
                generations=self.generations,
                production=self._production(),
                progress=progress,
            )
            built = builder.build(mode)
            try:
                content = open_content(self.settings, self.generations, built.generation)
                self._switch(built.generation, content)
            except BaseException:
                if self.generation != built.generation:
                    remove(built.generation.path)
                raise
            self._remove_outdated()
        return built

    def undo_swap(self) -> Generation | None:
        """Let the content be that from before the last swap; None: the plain file is back.

        :raises SwapRefused: there is none any more
        """
        with self._alone():
            if self.generation is None:
                raise SwapRefused(f"{self.__name__}: it was never swapped")
            previous = self.generations.previous()
            if previous is None and not self.settings.path.exists():
                raise SwapRefused(f"{self.__name__}: no generation before this one is kept")
            self._switch(previous, open_content(self.settings, self.generations, previous))
        return previous

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._busy.acquire(blocking=False):
            raise SwapRefused(f"{self.__name__}: it is being swapped already")
        try:
            if self._content._pack_is_in_progress:
                raise SwapRefused(f"{self.__name__}: it is being packed; try again after that")
            yield
        finally:
            self._busy.release()

    def _production(self) -> Any:
        """Return production's storage, where this server serves it, too."""
        server = getattr(self._db, "server", None)
        return None if server is None else server.storages.get(self.settings.source)

    def _switch(self, generation: Generation | None, content: Any) -> None:
        gate = Gate(self._db) if hasattr(self._db, "server") else None
        before = self._content
        try:
            if gate is not None:
                gate.shut(self.settings.drain_timeout_s)
            try:
                floor = self._prepare(generation, content)
                self.generations.make_current(generation)
                if gate is None:
                    self._take(generation, content, floor)
                else:
                    gate.on_loop(lambda: self._replace(gate, generation, content, floor))
            except BaseException:
                if gate is not None and gate.locked:
                    gate.on_loop(gate.open)
                raise
        except BaseException:
            if self._content is not content:
                content.close()
            raise
        if gate is not None:
            time.sleep(STILL_READING_S)
        before.close()

    def _prepare(self, generation: Generation | None, content: Any) -> bytes:
        """Give the content to come its floor and its oids; return the floor."""
        before = self._content
        if before._pack_is_in_progress:
            raise SwapRefused(f"{self.__name__}: it is being packed; try again after that")
        now = time.time()
        newest = max(before.lastTransaction(), content.lastTransaction())
        stamp = TimeStamp(*time.gmtime(now)[:5], now % 60).laterThan(TimeStamp(newest))
        floor: bytes = stamp.raw()
        top = max(u64(each._oid) for each in (before, content, self._production()) if each)
        first_oid = p64((top >> OID_RANGE) + 1 << OID_RANGE)
        if generation is None:
            self.generations.note_plain(floor)
        else:
            meta = replace(
                generation.meta, floor=floor.hex(), first_oid=first_oid.hex(), swapped_at=now
            )
            generation.write_meta(meta)
        content.set_max_oid(first_oid)
        marker = TransactionMetaData("zmount", "production's content took this one's place")
        content.tpc_begin(marker, floor)
        content.tpc_vote(marker)
        content.tpc_finish(marker)
        if generation is not None:
            content.raise_floor(floor)
        content.registerDB(self._db)
        if self._resolver is not None:
            content.tryToResolveConflict = self._resolver
        return floor

    def _replace(
        self, gate: Gate, generation: Generation | None, content: Any, floor: bytes
    ) -> None:
        """Let the content be another one, and all clients forget; in the event loop."""
        for client in gate.clients():
            disconnect(client)  # its transaction is undone in the content before
        self._take(generation, content, floor)
        self._db.invalidateCache()
        gate.open()

    def _take(self, generation: Generation | None, content: Any, floor: bytes) -> None:
        self._content, self.generation, self._floor = content, generation, floor

    def _remove_outdated(self) -> None:
        current = self.generation
        if current is not None:
            list_dropped(self.generations.blobs, current)
        for one in self.generations.outdated(self.settings.keep):
            remove(one.path)
        kept = self.generations.all()
        if kept:
            drop(self.generations.blobs, kept[0])


def _delegated(name: str) -> Any:
    def method(self: StageStorage, *args: Any, **options: Any) -> Any:
        return getattr(self._content, name)(*args, **options)

    method.__name__ = name
    method.__doc__ = "As the content's."
    return method


# real functions: ZEO takes bound methods once, when a client connects
for _name in DELEGATED.split():
    setattr(StageStorage, _name, _delegated(_name))


def _guard_invalidations(server: Any) -> None:
    """Let SERVER tell a client from before a swap that its cache is too old.

    With ``invalidation-age`` it would read what it is to forget from the content
    instead, which never had it.
    """
    unguarded = server.get_invalidations

    def get_invalidations(storage_id: str, tid: bytes) -> Any:
        storage = server.storages[storage_id]
        if isinstance(storage, StageStorage) and tid < storage._floor:
            return None, []
        return unguarded(storage_id, tid)

    server.get_invalidations = get_invalidations
    server.zmount_guarded = True
