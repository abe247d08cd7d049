"""Reading a database record by record, without a class of those it names.

A Zope that is down, or whose products are not installed here, still tells what
its database holds: records are pickles, and an unpickler that makes a stub of
every class reads their state. Nothing is imported and nothing of the database
is run: data is never code.
"""

from __future__ import annotations

import copyreg
import io
import re
import zlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, cast

from ZODB.POSException import POSKeyError
from ZODB.utils import load_current, u64, z64
from zodbpickle.pickle import Unpickler, UnpicklingError

from zmount.errors import StorageUnreadable
from zmount.filestorage.pickles import DEEPEST, check_pickles

# What a damaged pickle makes an unpickler raise, as seen with random bytes.
_DAMAGE = (
    UnpicklingError,
    EOFError,
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    zlib.error,
)
_KEPT_RECORDS = 32
# what may be a number in the memo past 65535: an unpickler makes room for so many at once
_LARGE_MEMO = re.compile(rb"r(?=..(?:[^\0]|.[^\0]))|p[0-9]{6}", re.DOTALL)
_TUPLES = (b"t", b"\x85", b"\x86", b"\x87")
_COMPRESSED = b".z"  # zc.zlibstorage puts this before a record that it compressed


class RawStorage(Protocol):
    """What is asked of a storage: any of ZODB's or ZEO's will do."""

    def loadBefore(self, oid: bytes, tid: bytes) -> tuple[bytes, bytes, bytes | None] | None:
        """Return the newest record of OID that is older than TID."""

    def close(self) -> None:
        """Give back what the storage holds of the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A reference to another record.

    ``database`` is "" for the same database, else the name of another one in a
    multi-database. ``class_name`` is "" where the reference does not say it.
    """

    oid: bytes
    class_name: str = ""
    database: str = ""
    is_weak: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The current state of one persistent object.

    ``class_name`` is dotted, "" for a class that is itself persistent.
    ``state`` is what the object's ``__setstate__`` would get, with
    :class:`Reference` for other persistent objects and :class:`Stub` for
    instances of any class. ``size_bytes`` counts the record as it is stored.
    """

    oid: bytes
    tid: bytes
    class_name: str
    state: object
    size_bytes: int

    @property
    def attributes(self) -> Mapping[str, object]:
        """The object's attributes; empty for one that has a state of its own kind."""
        return cast("Mapping[str, object]", self.state) if isinstance(self.state, dict) else {}


class Stub:
    """Stands for an instance of a class that a record names."""

    class_name = ""

    def __new__(cls, *args: object, **keywords: object) -> Stub:
        return object.__new__(cls)

    def __init__(self, *args: object, **keywords: object) -> None:
        self.args = args
        self.state: object = None

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __call__(self, *args: object, **keywords: object) -> Stub:
        """Stand for what a method that the record names would return."""
        return Stub(*args, **keywords)

    def __setitem__(self, key: object, value: object) -> None:
        """Take an item of what may be a dict."""

    def append(self, item: object) -> None:
        """Take an item of what may be a list."""

    def extend(self, items: object) -> None:
        """Take the items of what may be a list."""


class RawDatabase:
    """The records of a storage; of none, for a database that is not there yet.

    NAME is what errors call it. The records read last are kept, as folders are
    asked for again and again: what was read stays as it was then.
    """

    def __init__(self, storage: RawStorage | None, name: str) -> None:
        self._storage = storage
        self._name = name
        self._kept: OrderedDict[bytes, Record | None] = OrderedDict()

    def record(self, oid: bytes) -> Record | None:
        """Return the current record of OID, or None if there is none.

        :raises StorageUnreadable: the record is damaged
        """
        if oid not in self._kept:
            self._kept[oid] = self._read(oid)
            if len(self._kept) > _KEPT_RECORDS:
                self._kept.popitem(last=False)
        self._kept.move_to_end(oid)
        return self._kept[oid]

    def referred(self, value: object) -> Record | None:
        """Return the record that VALUE refers to in this database, or None.

        :raises StorageUnreadable: the record is damaged
        """
        if isinstance(value, Reference) and not value.database and not value.is_weak:
            return self.record(value.oid)
        return None

    def root(self) -> Mapping[str, object]:
        """Return the root mapping; it is empty where no transaction was written yet.

        :raises StorageUnreadable: its record is damaged
        """
        record = self.record(z64)
        return {} if record is None else mapping_state(record)

    def object_count(self) -> int | None:
        """Return how many objects there are, with garbage; None if the storage tells it not."""
        if self._storage is None:
            return 0
        return len(self._storage) if isinstance(self._storage, Sized) else None

    @property
    def storage(self) -> RawStorage | None:
        """What the records are read from."""
        return self._storage

    def close(self) -> None:
        """Close the storage."""
        if self._storage is not None:
            self._storage.close()

    def references(self, oid: bytes) -> tuple[tuple[Reference, ...], int, bytes] | None:
        """Return all references in the record of OID, its size in bytes and its tid.

        None: there is no record.

        They are weak and strong ones, in this database and to others; nothing is kept.

        :raises StorageUnreadable: the record is damaged
        """
        found = self._load(oid)
        if found is None:
            return None
        with self._told(oid):
            return _references(found[0]), len(found[0]), found[1]

    def _read(self, oid: bytes) -> Record | None:
        found = self._load(oid)
        if found is None:
            return None
        pickle, tid = found
        with self._told(oid):
            class_name, state = _unpickle(pickle)
        return Record(oid=oid, tid=tid, class_name=class_name, state=state, size_bytes=len(pickle))

    def _load(self, oid: bytes) -> tuple[bytes, bytes] | None:
        if self._storage is None:
            return None
        try:
            pickle, tid = load_current(self._storage, oid)
        except POSKeyError:
            return None
        return pickle, tid

    @contextmanager
    def _told(self, oid: bytes) -> Iterator[None]:
        """Turn what a damaged pickle raises into an error that names the object."""
        try:
            yield
        except _DAMAGE as damage:
            raise StorageUnreadable(
                f"storage {self._name}: object {u64(oid):#x} cannot be read: "
                f"{type(damage).__name__}: {damage}",
                hint="python -m ZODB.scripts.fstest Data.fs says whether the file is damaged",
            ) from None


def mapping_state(record: Record) -> Mapping[str, object]:
    """Return the items of a PersistentMapping's RECORD; none for another class.

    Databases written before ZODB 3.3 call them ``_container``.
    """
    for name in ("data", "_container"):
        items = record.attributes.get(name)
        if isinstance(items, dict):
            return items
    return {}


def _unpickle(pickle: bytes) -> tuple[str, object]:
    unpickler = _StubUnpickler(_plain(pickle), encoding="utf-8", errors="bytes")
    return _class_name(unpickler.load()), unpickler.load()


def _references(pickle: bytes) -> tuple[Reference, ...]:
    unpickler = _CollectingUnpickler(_plain(pickle), encoding="utf-8", errors="bytes")
    unpickler.found = []
    unpickler.load()
    unpickler.load()
    return tuple(unpickler.found)


def _plain(pickle: bytes) -> io.BytesIO:
    """Return PICKLE as it is loaded, if it cannot harm the process.

    :raises ValueError: it would ask for all the memory, or overflow the C stack
    """
    if pickle.startswith(_COMPRESSED):
        pickle = zlib.decompress(pickle[len(_COMPRESSED) :])
    if _LARGE_MEMO.search(pickle) or sum(map(pickle.count, _TUPLES)) > DEEPEST:
        check_pickles(io.BytesIO(pickle), 2)  # slow, and rarely needed where there is no text
    return io.BytesIO(pickle)


class _StubUnpickler(Unpickler):  # type: ignore[misc]
    """Makes stubs of all classes; the few names it knows do nothing but build values."""

    def find_class(self, module: str, name: str) -> object:
        known = _KNOWN.get((module, name))
        if known is not None:
            return known
        return _stub_class(module, name)

    def persistent_load(self, reference: object) -> Reference:
        """Read a reference in any form of ``ZODB/serialize.py``."""
        if isinstance(reference, bytes):
            return Reference(oid=reference)
        if isinstance(reference, tuple):
            return Reference(oid=_oid(reference[0]), class_name=_class_name(reference[1]))
        if not isinstance(reference, list):
            raise UnpicklingError(f"{reference!r} is no reference")
        if len(reference) == 1:
            return Reference(oid=_oid(reference[0]), is_weak=True)
        kind, args = reference
        if kind == "w":
            database = args[1] if len(args) > 1 else ""
            return Reference(oid=_oid(args[0]), database=database, is_weak=True)
        class_name = _class_name(args[2]) if kind == "m" else ""
        return Reference(oid=_oid(args[1]), class_name=class_name, database=args[0])


class _CollectingUnpickler(_StubUnpickler):
    """Remembers all references that it meets."""

    found: list[Reference]

    def persistent_load(self, reference: object) -> Reference:
        made = super().persistent_load(reference)
        self.found.append(made)
        return made


@lru_cache(maxsize=4096)
def _stub_class(module: str, name: str) -> type[Stub]:
    return type(name, (Stub,), {"class_name": f"{module}.{name}"})


def _oid(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise UnpicklingError(f"{value!r} is no oid")
    return value


def _class_name(meta: object) -> str:
    """Return the dotted name in a record's or a reference's class description."""
    if isinstance(meta, tuple) and meta:
        if isinstance(meta[0], tuple) or not isinstance(meta[0], str):
            return _class_name(meta[0])
        return ".".join(str(part) for part in meta)
    return meta.class_name if isinstance(meta, type) and issubclass(meta, Stub) else ""


def _reconstruct(cls: type, *_: object) -> object:
    return object.__new__(cls)


def _encode(text: str, *_: object) -> bytes:
    return text.encode("latin-1")  # how pickles of protocol 2 and less carry bytes


_KNOWN: dict[tuple[str, str], object] = {
    ("builtins", "object"): object,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("__builtin__", "object"): object,
    ("__builtin__", "set"): set,
    ("__builtin__", "frozenset"): frozenset,
    ("copyreg", "_reconstructor"): _reconstruct,
    ("copy_reg", "_reconstructor"): _reconstruct,
    ("copyreg", "__newobj__"): getattr(copyreg, "__newobj__"),  # noqa: B009
    ("_codecs", "encode"): _encode,
    ("zodbpickle", "binary"): bytes,
}
