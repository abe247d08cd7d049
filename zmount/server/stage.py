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
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import zope.interface
from zc.lockfile import LockFile
from ZODB.POSException import ReadConflictError, StorageError
from ZODB.utils import z64

from zmount.server.broken import DAMAGES, BrokenContent
from zmount.server.building import Builder, Built, file_storage
from zmount.server.cleaning import clean_up
from zmount.server.content import floor_of, open_content, open_earlier
from zmount.server.freezing import SwapRefused
from zmount.server.gate import Gate
from zmount.server.generation import PLAIN, Generation, remove
from zmount.server.generations import Generations
from zmount.server.marks import leave_mark, oids_after, tid_after
from zmount.server.readers import Readers
from zmount.server.settings import StageSettings
from zmount.server.turns import PACKED, Taken, Turns
from zmount.server.zeo_guards import guard

# what is answered by the content, whichever that is
DELEGATED = (
    "checkCurrentSerialInTransaction cleanup copyTransactionsFrom deleteObject getTid history "
    "is_blob_record isReadOnly iterator lastTid load loadBlob loadSerial new_oid "
    "openCommittedBlobFile record_iternext restore restoreBlob set_max_oid store storeBlob "
    "supportsUndo temporaryDirectory tpc_abort tpc_begin tpc_finish tpc_transaction tpc_vote undo"
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
        self._turns = Turns()
        self._unchanged_since = z64
        self._readers = Readers()
        self._is_closed = False
        self.switched_at = self.loop_blocked_s = 0.0  # of the last swap, in seconds
        try:
            self._open()
        except BaseException:
            self._lock_file.close()
            raise

    def _open(self) -> None:
        try:
            for name in self.generations.remove_leftovers():
                log.warning("%s: removed %s, which a swap left half done", self.__name__, name)
            self.generation = self.generations.current
            self._content = open_content(self.settings, self.generations, self.generation)
            self.floor = floor_of(self.generations, self.generation)
        except DAMAGES as why:
            self._open_broken(f"{why}")
        zope.interface.directlyProvides(self, zope.interface.providedBy(self._content))

    def _open_broken(self, why: str) -> None:
        """Answer with an error from now on; what other storages the server has, it serves."""
        self.generation = self.generations.presumed
        self._content = BrokenContent(self.settings, self.generations, why)
        self.floor = self._content.floor
        log.critical("%s", self._content.said)
        try:
            self.generations.note_broken(self.floor)
        except OSError as error:
            log.critical("%s: %s", self.__name__, error)

    @property
    def broken(self) -> str:
        """What is damaged; empty: nothing."""
        return getattr(self._content, "why", "")

    def close(self) -> None:
        """Close the content; a swap that is going on fails."""
        self._is_closed = True
        self._content.close()
        self._lock_file.close()

    # what a ZEO server asks

    def loadBefore(self, oid: bytes, tid: bytes) -> Any:
        """As FileStorage's; a transaction that began before the last swap gets a conflict.

        It would see some objects as they were before, and some as they are now.
        """
        if tid <= self.floor and self.floor != z64 and not self.broken:
            raise ReadConflictError(
                "the content of this storage was replaced", oid=oid, serials=(self.floor, tid)
            )
        return self._content.loadBefore(oid, tid)

    def lastInvalidations(self, count: int) -> list[tuple[bytes, list[bytes]]]:
        """Return what the last COUNT transactions changed, at most from the last swap on.

        A client that has seen less than that is told that its cache is too old.
        """
        if self.floor == z64:
            return list(self._content.lastInvalidations(count))
        size = 1  # FileStorage reads the transactions whole, in the event loop
        while True:
            found = list(self._content.lastInvalidations(min(size, count)))
            if size >= count or not found or found[0][0] <= self.floor:
                break
            size *= 2
        return [each for each in found if each[0] >= self.floor] or [(self.floor, [])]

    def lastTransaction(self) -> bytes:
        """Return the last transaction's tid, at least the last swap's.

        A pack of the plain file may have dropped that one.
        """
        last: bytes = self._content.lastTransaction()
        return max(last, self.floor)

    def pack(self, t: float, referencesf: Any) -> None:
        """Pack the content: of a generation the changes, without garbage collection.

        A swap that is going on is waited for.
        """
        with self._turns.turn(PACKED):
            self._content.pack(t, referencesf)

    def undoLog(self, *args: Any, **options: Any) -> Any:
        """As the content's."""
        with self._read() as content:
            return content.undoLog(*args, **options)

    def undoInfo(self, *args: Any, **options: Any) -> Any:
        """As the content's."""
        with self._read() as content:
            return content.undoInfo(*args, **options)

    def _read(self) -> AbstractContextManager[Any]:
        """Yield the content, which stays open; a ZEO server calls this from other threads."""
        return self._readers.reading(lambda: self._content)

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
        if hasattr(db, "server"):
            guard(db.server)

    # the swap

    def swap(
        self,
        mode: str = "",
        progress: Any = lambda phase, done, total: None,
        unchanged_since: bytes = z64,
    ) -> Built:
        """Let production's content, as it is now, be the content.

        :param unchanged_since: the last transaction that whoever asks knows of; z64: never mind
        :raises SwapRefused: it cannot be done, or there are later ones; nothing is changed
        """
        with self._alone("swapped", unchanged_since):
            builder = Builder(
                settings=self.settings,
                generations=self.generations,
                production=file_storage(self._production()),
                progress=progress,
            )
            built = builder.build(mode)
            try:
                content = open_content(self.settings, self.generations, built.generation)
                self._switch(built.generation, content)
            except BaseException:
                if self.generation != built.generation:
                    self._give_up(built.generation)
                raise
        if self._db is None:
            self._clean_up()
        else:  # nobody has to wait for it
            threading.Thread(target=self._clean_up, name="clean up", daemon=True).start()
        return built

    def undo_swap(self, unchanged_since: bytes = z64) -> Generation | None:
        """Let the content be that from before the last swap; None: the plain file is back.

        :raises SwapRefused: there is none any more
        """
        with self._alone("swapped back", unchanged_since):
            if self.generation is None and not self.generations.plain_floor and not self.broken:
                raise SwapRefused(f"{self.__name__}: it was never swapped")
            previous, content = open_earlier(
                self.settings, self.generations, is_broken=bool(self.broken)
            )
            self._switch(previous, content)
        return previous

    @contextmanager
    def _alone(self, doing: str, unchanged_since: bytes) -> Iterator[None]:
        try:
            with self._turns.turn(doing, self.settings.drain_timeout_s):
                # nobody writes to what is broken
                self._unchanged_since = z64 if self.broken else unchanged_since
                if self._db is not None and not hasattr(self._db, "server"):
                    raise SwapRefused(f"{self.__name__}: only a ZEO server can swap it")
                yield
        except Taken as what:
            raise SwapRefused(
                f"{self.__name__}: it is being {what}; try again after that"
            ) from None

    def _production(self) -> Any:
        """Return production's storage, where this server serves it, too."""
        server = getattr(self._db, "server", None)
        return None if server is None else server.storages.get(self.settings.source)

    def _switch(self, generation: Generation | None, content: Any) -> None:
        """Let CONTENT, that of GENERATION, be the content; it is closed if that fails."""
        before = self._content
        try:
            if self._db is None:
                self._become(generation, content, lambda take: take())
            else:
                self._switch_at_gate(generation, content)
        except BaseException:
            if self._content is not content:
                content.close()
            raise
        self._readers.wait_for_end(before)
        before.close()

    def _switch_at_gate(self, generation: Generation | None, content: Any) -> None:
        gate = Gate(self._db)
        try:
            gate.shut(self.settings.drain_timeout_s)
            self._become(generation, content, lambda take: gate.on_loop(lambda: gate.replace(take)))
            self.switched_at, self.loop_blocked_s = time.perf_counter(), gate.blocked_s
        finally:
            gate.open_soon()

    def _become(
        self, generation: Generation | None, content: Any, at_once: Callable[[Any], None]
    ) -> None:
        """Switch on the disk, then here; if the second fails, neither."""
        floor = self._prepare(generation, content)

        def take() -> None:
            with self._readers.none_begins():
                self._content, self.generation, self.floor = content, generation, floor

        self._must_be_open()
        earlier = self.generations.make_current(generation)
        try:
            at_once(take)
        except BaseException:
            if self._content is not content and not self._is_closed:
                self.generations.take_back(earlier)
            raise

    def _must_be_open(self) -> None:
        if self._is_closed:
            raise SwapRefused(f"{self.__name__}: its server is ending")

    def _prepare(self, generation: Generation | None, content: Any) -> bytes:
        """Give the content to come its floor and its oids; return the floor."""
        self._must_be_open()
        if z64 != self._unchanged_since < self.lastTransaction():
            raise SwapRefused(f"{self.__name__}: it was written to this very moment")
        floor = tid_after((self.lastTransaction(), content.lastTransaction()))
        first_oid = oids_after((self._content, content, self._production()))
        before = PLAIN if self.generation is None else self.generation.number
        if generation is None:
            self.generations.note_plain(floor, first_oid, before)
        else:
            meta = replace(
                generation.meta,
                floor=floor.hex(),
                first_oid=first_oid.hex(),
                swapped_at=time.time(),
                # where only the link to it was damaged, it comes after what it came after
                before=generation.meta.before if generation == self.generation else before,
            )
            generation.write_meta(meta)
            content.raise_floor(floor)
        content.set_max_oid(first_oid)
        leave_mark(content, floor)
        if self._db is not None:
            content.registerDB(self._db)
        if self._resolver is not None:
            content.tryToResolveConflict = self._resolver
        return floor

    def _give_up(self, generation: Generation) -> None:
        """Remove a generation that did not become current."""
        try:
            if not self._is_closed and self.generations.link != generation.path.name:
                remove(generation.path)
        except OSError:
            log.exception("%s: %s stays until the next start", self.__name__, generation.path)

    def _clean_up(self) -> None:
        """Remove what is not kept any more; a failure is told in the log, and tried again."""
        self._turns.clean_up(self._clean_up_in_turn)

    def _clean_up_in_turn(self, give_way: Callable[[], None]) -> None:
        try:
            if not self._is_closed:
                clean_up(self.generations, self.settings.keep, self._content, give_way)
        except (OSError, StorageError, ValueError):
            if not self._is_closed:
                log.exception("%s: what is not needed any more stays", self.__name__)


def _delegated(name: str) -> Any:
    def method(self: StageStorage, *args: Any, **options: Any) -> Any:
        return getattr(self._content, name)(*args, **options)

    method.__name__ = name
    method.__doc__ = "As the content's."
    return method


# real functions: ZEO takes bound methods once, when a client connects
for _name in DELEGATED.split():
    setattr(StageStorage, _name, _delegated(_name))
