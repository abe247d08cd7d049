"""All of a root searched for mount points and references to other databases.

The references of a file are followed in waves, as a pack follows them, which takes some
seconds for a million objects; of another storage record by record, some minutes. Only
the way to what is found is read as objects, to say where it is.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator

from ZODB.utils import p64

from zmount.effects.raw_file import DataFile
from zmount.effects.raw_folders import references_by_name
from zmount.effects.raw_found import FoundReference, judged
from zmount.effects.raw_records import RawDatabase, Reference
from zmount.effects.raw_roots import MOUNTED_OBJECT
from zmount.filestorage.format import DATA_HEADER
from zmount.filestorage.objects import Table
from zmount.filestorage.references import COMPRESSED, References

EVERY = 100_000  # objects between two reports of progress
_MOUNTED = MOUNTED_OBJECT.rpartition(".")[2].encode()
_NAMED_WITHIN = 128  # bytes of a record, in which its class is named
_NO_OBJECT = (1 << 64) - 1  # an oid that no storage gives: it has no word in a table
_WAVE = 1 << 14  # records read at a time

Progress = Callable[[str], None]


def found_anywhere(database: RawDatabase, say: Progress) -> tuple[FoundReference, ...]:
    """Return all there is in DATABASE, below its Application.

    :param say: called with how far the search is
    :raises StorageUnreadable: a record is damaged
    """
    top = database.referred(database.root().get("Application"))
    if top is None:
        return ()
    way = _Way(database, top.oid)
    storage = database.storage
    hits = _hits_in_file(storage, way, say) if isinstance(storage, DataFile) else _hits(way, say)
    found = {(each.path, each.reference.oid): each for hit in hits for each in way.found_at(hit)}
    return tuple(found.values())


class _Way:
    """Knows by which object each object was reached from TOP, and what its path is."""

    def __init__(self, database: RawDatabase, top: bytes) -> None:
        self.database = database
        self.top = int.from_bytes(top, "big")
        self._parents = Table()
        self._parents.set(self.top, 1)
        self._names: dict[bytes, dict[tuple[str, bytes], str]] = {}

    def reach(self, child: int, parent: int) -> bool:
        """Note that PARENT leads to CHILD; False: that was reached before."""
        if child == _NO_OBJECT or self._parents.word(child):
            return False
        self._parents.set(child, parent + 1)
        return True

    def found_at(self, oid: int) -> Iterator[FoundReference]:
        """Yield what is worth telling of the object: itself, a mount point, or what it has."""
        record = self.database.record(p64(oid))
        if record is None:
            return
        if record.class_name == MOUNTED_OBJECT:
            references: Iterable[Reference] = (Reference(oid=record.oid),)
            holder = self._parents.word(oid) - 1
        else:
            read = self.database.references(record.oid)
            references = [each for each in read[0] if each.database] if read else ()
            holder = oid
        path, folder = self._place(holder)
        held_by = self.database.record(p64(holder))
        if held_by is None:
            return
        for reference in references:
            name = self._names_in(folder).get((reference.database, reference.oid))
            if name is not None or reference.database:
                below = path if name is None else f"{path}/{name}"
                yield from judged(self.database, held_by, below or "/", reference)

    def _place(self, oid: int) -> tuple[str, bytes]:
        """Return the path of the object, or of what it is a part of, and the oid of that."""
        way = [oid]
        while way[-1] != self.top:
            way.append(self._parents.word(way[-1]) - 1)
        path, folder = "", p64(self.top)
        for each in map(p64, way[-2::-1]):
            name = self._names_in(folder).get(("", each))
            if name is not None and not name.startswith("_"):
                path, folder = f"{path}/{name}", each
        return path, folder

    def _names_in(self, folder: bytes) -> dict[tuple[str, bytes], str]:
        if folder not in self._names:
            record = self.database.record(folder)
            named = () if record is None else references_by_name(self.database, record)
            self._names[folder] = {(each.database, each.oid): name for name, each in named}
        return self._names[folder]


class _Foreign(dict[tuple[str, int], int]):
    """Takes the positions of all records that refer to another database, not of one each."""

    def __init__(self) -> None:
        super().__init__()
        self.positions: set[int] = set()

    def setdefault(self, key: tuple[str, int], default: int = 0) -> int:
        self.positions.add(default)
        return default


def _hits_in_file(file: DataFile, way: _Way, say: Progress) -> list[int]:
    foreign, buffer, hits = _Foreign(), file.source.buffer, []
    references = References(file.source, foreign=foreign, report=lambda why: None)
    todo, count = [way.top], 0
    while todo:
        wave, todo = todo[-_WAVE:], todo[:-_WAVE]
        places = array("Q", filter(None, map(file.position, wave)))
        for first, done, oids, ends in references.of(places, len(places)):
            start = 0
            for number in range(first, done):
                place, stop = places[number], ends[number]
                holder = int.from_bytes(buffer[place : place + 8], "big")
                if _MOUNTED in _head(references, place):
                    hits.append(holder)
                todo += [child for child in oids[start:stop] if way.reach(child, holder)]
                start = stop
        if count // EVERY != (count := count + len(wave)) // EVERY:
            say(f"{count:,} objects")
    return hits + [int.from_bytes(buffer[at : at + 8], "big") for at in sorted(foreign.positions)]


def _head(references: References, place: int) -> bytes:
    """Return the beginning of the pickles of the record at PLACE."""
    start, buffer = place + DATA_HEADER, references.source.buffer
    head = bytes(buffer[start - 8 : start + _NAMED_WITHIN])
    if not any(head[:8]) or head[8:10] == COMPRESSED:  # a back pointer, or zc.zlibstorage's
        return references.data(place)[:_NAMED_WITHIN]
    return head


def _hits(way: _Way, say: Progress) -> list[int]:
    hits, todo, count = [], [way.top], 0
    while todo:
        oid = todo.pop()
        read = way.database.references(p64(oid))
        if read is None:
            continue
        for reference in read[0]:
            child = int.from_bytes(reference.oid, "big")
            if reference.database:
                hits.append(oid)
            elif not reference.is_weak and way.reach(child, oid):
                if reference.class_name == MOUNTED_OBJECT:
                    hits.append(child)
                else:
                    todo.append(child)
        count += 1
        if count % EVERY == 0:
            say(f"{count:,} objects")
    return hits
