"""Histories of a FileStorage: what a generator says happened, and a real FileStorage that did it.

A history is a sequence of values that need no storage: which object they mean
is settled while it is written, so that every sequence is a possible one. The
transactions get tids one second apart, so no test has to wait for a clock.
"""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from persistent.mapping import PersistentMapping
from persistent.TimeStamp import TimeStamp
from ZODB.blob import Blob
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage
from ZODB.POSException import POSKeyError, UndoError
from ZODB.serialize import referencesf
from ZODB.utils import p64, z64
from zodbpickle.pickle import Pickler

Packer = Callable[[Any, Any, bytes, bool], Any]

BASE = 1_700_000_000  # seconds since 1970; a full minute and far from any clock
# as ZODB writes them; the first three hold an object of this database, the others do not
KINDS = ("class", "class", "bare", "weak", "other database", "other database, no class")
# in several buckets of fsIndex, which takes 2**16 oids
OIDS = tuple(map(p64, (0, 1, 2, 3, 0x10001, 0x10002, 0x1_0000_0001, 2**63 + 5)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """A reference to one of the objects that there are: the ``number``-th, counted around.

    With an ``oid`` it is to that object, be it there or not.
    """

    kind: str = "class"
    number: int = 0
    oid: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """A new state of an object, which may be a new one.

    ``twice``: once more in the same transaction, as ZEO stores blobs; the
    first record has ``other_data`` or that of the second.
    """

    number: int
    refs: tuple[Ref, ...] = ()
    size: int = 0
    twice: bool = False
    other_data: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreBlob:
    """A blob's new file; ``twice``: preceded by a plain record, as ZEO does it."""

    number: int
    twice: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """Undo the transaction that is the ``number``-th from the end, if that can be undone."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Delete an object, as an external garbage collector does; it stays referenced."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pack:
    """Pack to the time ``before`` transactions before the newest."""

    before: int
    gc: bool


Step = Store | StoreBlob | Undo | Delete
History = Sequence[tuple[Step, ...] | Pack]


def tid_at(number: int) -> bytes:
    """Return the tid of the NUMBER-th transaction."""
    at = BASE + number
    return TimeStamp(*time.gmtime(at)[:5], float(at % 60)).raw()


def time_after(number: int) -> float:
    """Return a time between the NUMBER-th transaction and the next."""
    return BASE + number + 0.5


def stop_after(number: int) -> bytes:
    """Return that time as the tid that FileStorage.pack makes of it."""
    at = time_after(number)
    return TimeStamp(*time.gmtime(at)[:5], at % 60).raw()


@dataclass(slots=True)
class Writer:
    """Writes a history into a FileStorage; it knows what the generator could not."""

    path: Path
    packer: Packer | None = None
    blobs: bool = True
    storage: Any = None
    number: int = -1  # of the newest transaction
    serials: dict[bytes, bytes] = field(default_factory=dict)
    blob_oids: set[bytes] = field(default_factory=set)
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.open()

    @property
    def blob_dir(self) -> Path:
        return self.path.with_name(self.path.name + ".blobs")

    def open(self) -> None:
        """Open the storage, or open it again."""
        self.storage = FileStorage(
            str(self.path),
            blob_dir=str(self.blob_dir) if self.blobs else None,
            packer=self.packer,
        )

    def close(self) -> None:
        self.storage.close()

    def write(self, history: History) -> None:
        """Do what HISTORY says; a transaction that cannot be (an undo) does not happen."""
        for entry in history:
            if isinstance(entry, Pack):
                after = max(self.number - entry.before, -1)
                self.log.append(f"pack to after {after}, gc {entry.gc}")
                self.pack(after, gc=entry.gc)
            else:
                self.commit(*entry)

    def pack(self, after: int, *, gc: bool = True) -> None:
        """Pack to just after the transaction with the number AFTER."""
        self.storage.pack(time_after(after), referencesf, gc=gc)

    def commit(self, *steps: Step) -> bool:
        """Commit one transaction; return whether it was possible."""
        number = self.number + 1
        transaction = TransactionMetaData(description=f"number {number}")
        self.storage.tpc_begin(transaction, tid_at(number))
        changed: dict[bytes, bool] = {}
        try:
            for step in steps:
                self._do(step, transaction, changed)
            self.storage.tpc_vote(transaction)
        except (UndoError, POSKeyError):
            self.storage.tpc_abort(transaction)
            return False
        self.storage.tpc_finish(transaction)
        self.number = number
        for oid, is_blob in changed.items():
            self.serials[oid] = tid_at(number)
            if is_blob:
                self.blob_oids.add(oid)
        return True

    @contextmanager
    def held_commit(self, *steps: Step) -> Iterator[None]:
        """Begin a transaction, which has the commit lock; it is committed at the end."""
        self.number += 1
        transaction = TransactionMetaData(description=f"number {self.number}")
        self.storage.tpc_begin(transaction, tid_at(self.number))
        changed: dict[bytes, bool] = {}
        self.number -= 1
        for step in steps:
            self._do(step, transaction, changed)
        yield
        self.storage.tpc_vote(transaction)
        self.storage.tpc_finish(transaction)
        self.number += 1

    def _do(self, step: Step, transaction: Any, changed: dict[bytes, bool]) -> None:
        if isinstance(step, Undo):
            self._undo(step, transaction, changed)
            return
        oid = OIDS[step.number % len(OIDS)]
        if changed.get(oid) is not None or (isinstance(step, Delete) and oid not in self.serials):
            return
        serial = self.serials.get(oid, z64)
        if isinstance(step, Delete):
            self.storage.deleteObject(oid, serial, transaction)
            changed[oid] = False
            self.log.append(f"{self.number + 1}: delete {oid.hex()}")
        elif oid in self.blob_oids or (isinstance(step, StoreBlob) and oid not in self.serials):
            changed[oid] = True
            self._store_blob(oid, serial, step.twice and self.blobs, transaction)
        elif isinstance(step, Store):
            changed[oid] = False
            self._store(oid, serial, step, transaction, changed)

    def _store(
        self, oid: bytes, serial: bytes, step: Store, transaction: Any, changed: dict[bytes, bool]
    ) -> None:
        there = sorted({*self.serials, *changed} - {oid}) or [oid]
        refs = tuple((ref.kind, ref.oid or there[ref.number % len(there)]) for ref in step.refs)
        state = f"{self.number + 1}" + "x" * step.size
        if step.twice:
            first = record(refs, "first " + state if step.other_data else state)
            self.storage.store(oid, serial, first, "", transaction)
        self.storage.store(oid, serial, record(refs, state), "", transaction)
        shown = ", ".join(f"{kind} {target.hex()}" for kind, target in refs)
        self.log.append(f"{self.number + 1}: store {oid.hex()} -> {shown} twice={step.twice}")

    def _store_blob(self, oid: bytes, serial: bytes, twice: bool, transaction: Any) -> None:
        data = blob_record()
        self.log.append(f"{self.number + 1}: blob {oid.hex()} twice={twice}")
        if not self.blobs:
            self.storage.store(oid, serial, data, "", transaction)
            return
        if twice:
            self.storage.store(oid, serial, data, "", transaction)
        new = self.path.with_name("new.blob")
        new.write_bytes(b"%d of " % (self.number + 1) + oid)
        self.storage.storeBlob(oid, serial, data, str(new), "", transaction)

    def _undo(self, step: Undo, transaction: Any, changed: dict[bytes, bool]) -> None:
        undone = self.number - step.number
        if undone < 0:
            raise UndoError("there is no such transaction")
        name = base64.encodebytes(tid_at(undone)).rstrip()
        _, oids = self.storage.undo(name, transaction)
        for oid in oids:
            changed[oid] = oid in self.blob_oids
        self.log.append(f"{self.number + 1}: undo {undone}")


def record(refs: Sequence[tuple[str, bytes]], state: object = None) -> bytes:
    """Return a record as ZODB writes it: an object with these references and this STATE."""
    ids = {number: _persistent_id(kind, oid) for number, (kind, oid) in enumerate(refs)}
    stream = BytesIO()
    pickler = Pickler(stream, 3)
    pickler.persistent_id = lambda thing: ids[thing.number] if isinstance(thing, _Held) else None
    pickler.dump(PersistentMapping)
    pickler.dump({"data": {n: _Held(n) for n in ids}, "state": state})
    return stream.getvalue()


def blob_record() -> bytes:
    """Return the record that every blob has."""
    stream = BytesIO()
    pickler = Pickler(stream, 3)
    pickler.dump(Blob)
    pickler.dump(None)
    return stream.getvalue()


@dataclass(frozen=True)
class _Held:
    number: int


def _persistent_id(kind: str, oid: bytes) -> object:
    return {
        "class": (oid, PersistentMapping),
        "bare": oid,
        "weak": ["w", (oid,)],
        "other database": ["m", ("other", oid, PersistentMapping)],
        "other database, no class": ["n", ("other", oid)],
    }[kind]


def fast_directory(tmp_path: Path) -> Path:
    """Return a directory where an fsync costs nothing, if there is one; else TMP_PATH."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and os.access(memory, os.W_OK) else tmp_path


def wait_until(is_so: Callable[[], bool], what: str, timeout_s: float = 30) -> None:
    """Wait until IS_SO returns something true."""
    until = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < until, f"not within {timeout_s} s: {what}"
        time.sleep(0.002)


# what is rare in a database is frequent here
numbers = st.integers(0, 7)
references = st.builds(Ref, kind=st.sampled_from(KINDS), number=numbers, oid=st.just(b""))
stores = st.builds(
    Store,
    number=numbers,
    refs=st.lists(references, max_size=3).map(tuple),
    size=st.integers(0, 40),
    twice=st.sampled_from((False,) * 7 + (True,)),
    other_data=st.booleans(),
)
root_stores = st.builds(Store, number=st.just(0), refs=st.lists(references, max_size=4).map(tuple))
blob_stores = st.builds(StoreBlob, number=numbers, twice=st.booleans())
undos = st.builds(Undo, number=st.integers(0, 4))
deletes = st.builds(Delete, number=st.integers(1, 7))
packs = st.builds(Pack, before=st.integers(0, 6), gc=st.sampled_from((True, True, True, False)))
changes = st.lists(st.one_of(stores, stores, root_stores, root_stores, blob_stores), max_size=4)
transactions = st.one_of(
    changes.map(tuple),
    changes.map(tuple),
    st.tuples(undos),
    st.tuples(undos),
    st.tuples(undos, undos),
    st.tuples(deletes),
)


def histories(*, packed: bool) -> st.SearchStrategy[list[tuple[Step, ...] | Pack]]:
    """Return a strategy of histories; ``packed``: with packs on the way."""
    entry = st.one_of(*(transactions,) * 6, packs) if packed else transactions
    return st.builds(
        lambda first, rest: [first, *rest],
        st.tuples(root_stores, stores),
        st.lists(entry, min_size=2, max_size=14),
    )


def examples(number: int) -> int:
    """Return how many examples to try: NUMBER, times what ``ZMOUNT_TEST_DEPTH`` says."""
    return number * int(os.environ.get("ZMOUNT_TEST_DEPTH", "1"))
