"""What a pack has to keep, said slowly: a reader of its own, the rule, and an oracle.

Nothing here shares code with the engine or with ZODB's fspack, but for
``referencesf``. :func:`promised` is what every packer owes its users; it knows
no rule, only moments and loads. :func:`kept` is the rule of this packer, and
:func:`packed` writes by it: wherever stock's packer keeps its promises, these
must be stock's own bytes, and they are the bytes that ours must write.
"""

from __future__ import annotations

from binascii import hexlify
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from ZODB.blob import is_blob_record
from ZODB.FileStorage import FileStorage
from ZODB.fsIndex import fsIndex
from ZODB.serialize import referencesf
from ZODB.utils import p64, z64

FIRST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A data record; ``data`` is None where it has a back pointer, or undoes a creation."""

    oid: bytes
    tid: bytes
    position: int
    previous: int
    back: int
    data: bytes | None

    @property
    def is_gone(self) -> bool:
        """It says that there is no such object any more."""
        return self.data is None and not self.back


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A transaction from its ``position`` to the second length at its ``end``."""

    tid: bytes
    status: str
    position: int
    end: int
    records: tuple[Record, ...]


@dataclass(frozen=True, kw_only=True)
class DataFile:
    """A whole FileStorage, read from its bytes."""

    transactions: tuple[Transaction, ...]

    def __iter__(self) -> Iterator[Record]:
        return (each for transaction in self.transactions for each in transaction.records)

    @cached_property
    def by_position(self) -> dict[int, Record]:
        return {each.position: each for each in self}

    def until(self, stop: bytes) -> list[Transaction]:
        return [each for each in self.transactions if each.tid <= stop]

    def after(self, stop: bytes) -> list[Transaction]:
        return [each for each in self.transactions if each.tid > stop]


def read(path: Path) -> DataFile:
    """Read a sound data file; one that is not sound raises an AssertionError."""
    text = path.read_bytes()
    number = lambda at: int.from_bytes(text[at : at + 8], "big")  # noqa: E731
    transactions = []
    position = FIRST
    while position < len(text):
        end = position + number(position + 8)
        assert number(end) == end - position, f"{path}: lengths at {position} and {end}"
        sizes = (
            int.from_bytes(text[at : at + 2], "big")
            for at in range(position + 17, position + 23, 2)
        )
        at = position + 23 + sum(sizes)
        records = []
        while at < end:
            assert number(at + 24) == position, f"{path}: record at {at}"
            size = number(at + 34)
            record = Record(
                oid=text[at : at + 8],
                tid=text[at + 8 : at + 16],
                position=at,
                previous=number(at + 16),
                back=0 if size else number(at + 42),
                data=text[at + 42 : at + 42 + size] if size else None,
            )
            assert record.tid == text[position : position + 8], f"{path}: record at {at}"
            records.append(record)
            at += 42 + (size or 8)
        assert at == end, f"{path}: transaction at {position}"
        transactions.append(
            Transaction(
                tid=text[position : position + 8],
                status=chr(text[position + 16]),
                position=position,
                end=end,
                records=tuple(records),
            )
        )
        position = end + 8
    return DataFile(transactions=tuple(transactions))


def references(file: DataFile, record: Record) -> list[bytes]:
    """Return the oids that RECORD refers to."""
    places = file.by_position
    while record.back:
        record = places[record.back]
    return _references(record.data) if record.data else []


@lru_cache(maxsize=1 << 16)
def _references(data: bytes) -> list[bytes]:
    found: list[bytes] = referencesf(data)
    return found


def current(transactions: Iterable[Transaction]) -> dict[bytes, Record]:
    """Return the last record of each object, of those that there are."""
    last = {record.oid: record for each in transactions for record in each.records}
    return {oid: record for oid, record in last.items() if not record.is_gone}


def kept(file: DataFile, stop: bytes, *, gc: bool) -> set[int]:
    """Return the positions of the records until STOP that a pack keeps."""
    now = current(file.until(stop))
    later = file.after(stop)
    places = file.by_position
    first = later[0].position if later else 1 << 62
    undone = [
        (record.oid, record.back)
        for each in later
        for record in each.records
        if 0 < record.back < first
    ]
    targets = {back for _, back in undone}
    if not gc:
        return {record.position for record in now.values()} | targets
    reached: set[bytes] = set()

    def reach(oids: Iterable[bytes]) -> None:
        todo = list(oids)
        while todo:
            oid = todo.pop()
            if oid in now and oid not in reached:
                reached.add(oid)
                todo.extend(references(file, now[oid]))

    reach([z64])
    at_pack_time = set(reached)
    revived: dict[bytes, int] = {}
    for oid, back in undone:
        if oid in at_pack_time or revived.setdefault(oid, back) != back:
            reach(references(file, places[back]))
    after: set[bytes] = set()
    for each in later:
        after.update(record.oid for record in each.records)
        for record in each.records:
            reach(oid for oid in references(file, record) if oid not in after)
    return {now[oid].position for oid in reached} | targets


def promised(file: DataFile, stop: bytes, *, gc: bool) -> dict[tuple[bytes, bytes], bytes | None]:
    """Return what must load after a pack to STOP: {(oid, moment): the data}, None for no object.

    Moments are the pack time (or that of an earlier pack, if later) and every
    later transaction. At each of them all that the root leads to is there, and
    what the transaction itself wrote with all that it leads to; without garbage
    collection simply every object.
    """
    owed: dict[tuple[bytes, bytes], bytes | None] = {}
    stop = max([stop, *(each.tid for each in file.transactions if each.status == "p")])
    snapshot = current(file.until(stop))
    _owe(file, snapshot, [z64] if gc else snapshot, stop, owed)
    for transaction in file.after(stop):
        written = [record.oid for record in transaction.records]
        snapshot = {**snapshot, **{record.oid: record for record in transaction.records}}
        snapshot = {oid: record for oid, record in snapshot.items() if not record.is_gone}
        _owe(file, snapshot, [z64, *written] if gc else snapshot, transaction.tid, owed)
    return owed


def _owe(
    file: DataFile,
    snapshot: dict[bytes, Record],
    roots: Iterable[bytes],
    moment: bytes,
    owed: dict[tuple[bytes, bytes], bytes | None],
) -> None:
    places = file.by_position
    todo, seen = list(roots), set()
    while todo:
        oid = todo.pop()
        if oid in seen:
            continue
        seen.add(oid)
        record = snapshot.get(oid)
        owed[oid, moment] = None
        if record is not None:
            todo.extend(references(file, record))
            while record.back:
                record = places[record.back]
            owed[oid, moment] = record.data


def broken_promises(storage: Any, owed: dict[tuple[bytes, bytes], bytes | None]) -> list[str]:
    """Return what of that which is OWED does not load from STORAGE as it should."""
    broken = []
    for (oid, moment), data in sorted(owed.items(), key=lambda item: item[0]):
        try:
            found = storage.loadBefore(oid, p64(int.from_bytes(moment, "big") + 1))
        except KeyError:
            found = None
        if (None if found is None else found[0]) != data:
            what = "nothing" if found is None else f"another state, of {found[1].hex()}"
            if data is not None:
                broken.append(f"oid {oid.hex()} at {moment.hex()} loads {what}")
    return broken


def blobs_of(path: Path) -> set[tuple[bytes, bytes]]:
    """Return oid and tid of every blob's file that the records in the data file PATH need."""
    file = read(path)
    places = file.by_position
    needed = set()
    for record in file:
        holder = record
        while holder.back:
            holder = places[holder.back]
        if is_blob_record(holder.data):
            needed.add((record.oid, record.tid))
    return needed


def index_of(path: Path, end: int | None = None) -> dict[bytes, int]:
    """Return the index that the data file at PATH has, or had when it ended at END."""
    file = read(path)
    return {record.oid: record.position for record in file if end is None or record.position < end}


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What a right pack leaves: the file, its index, and the blobs' revisions that are gone."""

    text: bytes
    index: dict[bytes, int]
    removed_blobs: frozenset[tuple[bytes, bytes]]


def packed(path: Path, stop: bytes, *, gc: bool) -> Packed | None:
    """Return what packing the file at PATH to STOP leaves; None: it leaves it as it is."""
    file = read(path)
    before, later = file.until(stop), file.after(stop)
    # a pack to an earlier time than the last one; without gc also one with nothing new since
    if is_packed(file, stop) and (later[0].status == "p" if later else not gc):
        return None
    if not any(True for _ in file):  # FileStorage calls no packer then
        return None
    keep = kept(file, stop, gc=gc)
    copier = _Copier(file, path.read_bytes())
    for transaction in before:
        copier.copy_packed(transaction, keep)
    if len(copier.text) == (later[0].position if later else len(copier.source)):
        return None
    for transaction in later:
        copier.copy_whole(transaction)
    there = {(record.oid, record.tid) for record in file if record.position in copier.moved}
    gone = {
        (record.oid, record.tid)
        for record in file
        if record.position not in copier.moved and is_blob_record(copier.data(record))
    }
    return Packed(
        text=bytes(copier.text), index=copier.index, removed_blobs=frozenset(gone - there)
    )


def is_packed(file: DataFile, stop: bytes) -> bool:
    """Return whether all that FILE has until STOP was written by a pack."""
    before = file.until(stop)
    return bool(before) and all(each.status == "p" for each in before)


class _Copier:
    def __init__(self, file: DataFile, source: bytes) -> None:
        self.places = file.by_position
        self.source = source
        self.text = bytearray(source[:FIRST])
        self.index: dict[bytes, int] = {}
        self.moved: dict[int, int] = {}

    def data(self, record: Record) -> bytes | None:
        while record.back:
            record = self.places[record.back]
        return record.data

    def copy_packed(self, transaction: Transaction, keep: set[int]) -> None:
        """Write what is kept of a transaction until the pack time, without pointers."""
        records = [record for record in transaction.records if record.position in keep]
        if records:
            with self._written(transaction, status=b"p"):
                for record in records:
                    self.index[record.oid] = len(self.text)
                    self._write(record, previous=0, data=self.data(record), back=0)

    def copy_whole(self, transaction: Transaction) -> None:
        """Write a transaction after the pack time, its pointers changed."""
        new: dict[bytes, int] = {}
        with self._written(transaction, status=transaction.status.encode()):
            for record in transaction.records:
                new[record.oid] = len(self.text)
                self._write(
                    record,
                    previous=self.index.get(record.oid, 0),
                    data=record.data,
                    back=self.moved[record.back] if record.back else 0,
                )
        self.index.update(new)

    @contextmanager
    def _written(self, transaction: Transaction, *, status: bytes) -> Iterator[None]:
        self.start = start = len(self.text)
        header = transaction.records[0].position if transaction.records else transaction.end
        self.text += self.source[transaction.position : header]
        self.text[start + 16 : start + 17] = status
        yield
        length = p64(len(self.text) - start)
        self.text[start + 8 : start + 16] = length
        self.text += length

    def _write(self, record: Record, *, previous: int, data: bytes | None, back: int) -> None:
        self.moved[record.position] = len(self.text)
        self.text += record.oid + record.tid + p64(previous) + p64(self.start) + bytes(2)
        self.text += p64(len(data or b""))
        self.text += data or p64(back)


def is_refused(path: Path, stop: bytes, *, gc: bool) -> bool:
    """Return whether all would be garbage: there are objects at STOP, but no root."""
    there = current(read(path).until(stop))
    return gc and bool(there) and z64 not in there


def is_written_otherwise(path: Path, stop: bytes, *, gc: bool) -> bool:
    """Return whether stock writes other bytes that mean the same.

    There are three such cases. All was packed before, without garbage collection:
    stock leaves the garbage until something is committed. An undo after the pack
    time brought back one of two records of the object in one transaction: stock's
    back pointer leads to the first of them, even if it was not that one. Or what is
    kept is a record that says, by its back pointers, that there is no such object:
    stock does not always keep it, and then says so anew.
    """
    file = read(path)
    copier = _Copier(file, b"")
    seen = Counter((record.oid, record.tid) for record in file)
    keep = kept(file, stop, gc=gc)
    if is_packed(file, stop) and not file.after(stop):
        return gc and len(keep) < len(file.by_position)
    targets = [
        copier.places[record.back]
        for transaction in file.after(stop)
        for record in transaction.records
        if record.back
    ]
    return any(seen[target.oid, target.tid] > 1 for target in targets) or any(
        copier.data(copier.places[position]) is None for position in keep
    )


def packs_by_rule(storage: Any, referencesf: Any, stop: bytes, gc: bool) -> Any:
    """Pack a FileStorage as :func:`packed` says; a packer that is slow and right."""
    path = Path(storage._file.name)
    result = packed(path, stop, gc=gc)
    if result is None:
        return None
    path.with_name(path.name + ".pack").write_bytes(result.text)
    if storage.blob_dir:
        lines = (hexlify(oid + tid) + b"\n" for oid, tid in sorted(result.removed_blobs))
        Path(storage.blob_dir, ".removed").write_bytes(b"".join(lines))
    index = fsIndex()
    index.update(result.index)
    storage._commit_lock.acquire()  # FileStorage releases it
    return len(result.text), index


stock = FileStorage.packer
