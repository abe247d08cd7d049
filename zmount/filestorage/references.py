"""Which objects the records of a FileStorage refer to, found at speed.

The core ``_references`` reads nearly every record. What it does not know goes a
slower way: a record that zc.zlibstorage compressed is decompressed first, one
that is too large for the core's memory gets more, and all else is asked of
ZODB's own referencesf, after a look at whether that is safe. No class that a
record names is ever imported.
"""

from __future__ import annotations

import mmap
import zlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from zmount.errors import UnreadableRecord
from zmount.filestorage.cores import chosen
from zmount.filestorage.format import DATA_HEADER, words
from zmount.filestorage.pickles import (
    REFUSED,
    foreign_references,
    persistent_ids,
    safe_referencesf,
)
from zmount.filestorage.source import BATCH, Source

ROOM = 1 << 16  # values on the stack, marks, and entries of the memo of a usual record
MOST_ROOM = 1 << 26
OIDS = 1 << 16  # room for the references of some records
REMEMBERED = 16  # records that referencesf had to read
LONGEST = 1 << 28  # bytes of one record's decompressed pickles: a bound for hostile files
CHAINS = 1 << 16  # back pointers to remember
IN_FRONT = 8  # bytes before a record that is given to the core alone: 0 is no position
COMPRESSED = b".z"  # how zc.zlibstorage marks a record


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """The references of the records ``first`` to ``done`` of some positions: ``found`` of them.

    ``oids[ends[n - 1]:ends[n]]`` are those of record n; those of the first one
    begin at 0. The arrays are overwritten when the next chunk is made.
    """

    first: int
    done: int
    oids: array[int]
    ends: array[int]
    found: int


class References:
    """Reads the references of records; has buffers of its own: each thread needs another.

    ``foreign`` takes the references to other databases, if there is one: the
    database's name and the oid, with the position of a record that refers to
    it. ``unknown`` is how many records went to ``referencesf``, ``odd`` the oid
    and position of the first of them.
    """

    def __init__(
        self,
        *,
        referencesf: Callable[[bytes], list[bytes]] | None = None,
        foreign: dict[tuple[str, int], int] | None = None,
    ) -> None:
        self.foreign = foreign
        self.unknown = 0
        self.odd: list[tuple[int, int]] = []
        self._referencesf = referencesf or safe_referencesf
        self._core = chosen().references
        self._memory = words(3 * ROOM + 1)
        self._oids = words(OIDS)
        self._make_room(BATCH)
        self._chains: dict[int, int] = {}
        self._chains_of: Source | None = None

    def _make_room(self, count: int) -> None:
        self._ends, self._unknown, self._foreign = words(count), words(count), words(count)

    def chunks(
        self, source: Source, positions: array[int], first: int, count: int
    ) -> Iterator[Chunk]:
        """Yield the references of the records FIRST to COUNT at these POSITIONS of SOURCE.

        :raises UnreadableRecord: a record's references cannot be known
        """
        if count > len(self._ends):
            self._make_room(count)
        while first < count:
            done, unknown, foreign = self._core.walk(
                source.buffer,
                positions,
                first,
                count,
                self._oids,
                self._ends,
                self._unknown,
                self._foreign,
                self._memory,
            )
            if done == first:
                self._oids = words(2 * len(self._oids))
                continue
            if foreign and self.foreign is not None:
                for number in self._foreign[:foreign]:
                    self._note_foreign(
                        source, positions[number], self.data(source, positions[number])
                    )
            oids, ends = self._oids, self._ends
            if unknown:
                oids, ends = self._completed(source, positions, first, done, unknown)
            yield Chunk(first=first, done=done, oids=oids, ends=ends, found=ends[done - 1])
            first = done

    def of(self, source: Source, position: int) -> array[int]:
        """Return the references of the record at POSITION.

        :raises UnreadableRecord: they cannot be known
        """
        (chunk,) = self.chunks(source, array("Q", [position]), 0, 1)
        return chunk.oids[: chunk.found]

    def _completed(
        self, source: Source, positions: array[int], first: int, done: int, unknown: int
    ) -> tuple[array[int], array[int]]:
        """Return the oids and ends of a chunk with those of its unknown records put in."""
        oids, ends = array("Q"), self._ends[:done]
        missing = iter(self._unknown[:unknown])
        number, start = next(missing), 0
        for at in range(first, done):
            if at == number:
                oids.extend(self._oids[start : self._ends[at]])
                start = self._ends[at]
                oids.extend(self._slowly(source, positions[at]))
                number = next(missing, done)
            ends[at] = len(oids) + self._ends[at] - start
        oids.extend(self._oids[start : self._ends[done - 1]])
        return oids, ends

    def _slowly(self, source: Source, position: int) -> array[int]:
        """Return the references of a record that the core does not know."""
        stored = self._stored(source, position)
        data = self._plain(source, position, stored)
        if not data:
            return array("Q")  # a long way to a record that undoes the creation
        found, is_foreign = None, True
        if len(data) > ROOM or data is not stored:
            found, is_foreign = self._walked(data)
        if found is None:
            self.unknown += 1
            if len(self.odd) < REMEMBERED:
                self.odd.append((oid_at(source, position), position))
            found = self._asked(source, position, data)
        if is_foreign and self.foreign is not None:
            self._note_foreign(source, position, data)
        return found

    def _walked(self, data: bytes) -> tuple[array[int] | None, bool]:
        """Let the core read a record's bare data with memory enough for it.

        Return the references, or None, and whether there are some to other databases.
        """
        record = bytes(IN_FRONT + DATA_HEADER - 8) + len(data).to_bytes(8, "big") + data
        room = min(len(data) + 1, MOST_ROOM)
        with mmap.mmap(-1, 8 * (4 * room + 1)) as pages:  # only what is used of it comes to be
            memory = memoryview(pages).cast("Q")
            oids, rest = memory[:room], memory[room:]
            ends, unknown, foreign = words(1), words(1), words(1)
            done, unknowns, foreigns = self._core.walk(
                record, array("Q", [IN_FRONT]), 0, 1, oids, ends, unknown, foreign, rest
            )
            found = array("Q", oids[: ends[0]])
            for view in (oids, rest, memory):
                view.release()
        return (found if done and not unknowns else None), foreigns > 0

    def _asked(self, source: Source, position: int, data: bytes) -> array[int]:
        """Return the references that ``referencesf`` finds."""
        try:
            oids = self._referencesf(data)
        except REFUSED as why:
            reason = f"its references cannot be read: {why or type(why).__name__}"
            raise unreadable(source, position, reason) from None
        if any(len(oid) != 8 for oid in oids):
            raise unreadable(source, position, "it has a reference that is not 8 bytes long")
        return array("Q", (int.from_bytes(oid, "big") for oid in oids))

    def _note_foreign(self, source: Source, position: int, data: bytes) -> None:
        """Take in the references to other databases."""
        assert self.foreign is not None  # nobody asks otherwise
        try:
            found = foreign_references(persistent_ids(data))
        except REFUSED as why:
            raise unreadable(source, position, f"odd reference to a database: {why}") from None
        for reference in found:
            self.foreign.setdefault(reference, position)

    def data(self, source: Source, position: int) -> bytes:
        """Return the pickles of the record at POSITION, decompressed; empty: creation undone.

        :raises UnreadableRecord: there is no such record, or it cannot be decompressed
        """
        return self._plain(source, position, self._stored(source, position))

    def _plain(self, source: Source, position: int, stored: bytes) -> bytes:
        if not stored.startswith(COMPRESSED):
            return stored
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(stored[len(COMPRESSED) :], LONGEST)
        except zlib.error as why:
            raise unreadable(source, position, f"it cannot be decompressed: {why}") from None
        if not unpacker.eof:
            what = "is cut short" if len(data) < LONGEST else f"has more than {LONGEST} bytes"
            raise unreadable(source, position, f"decompressed, it {what}")
        return data

    def _stored(self, source: Source, position: int) -> bytes:
        """Return the pickles as they are stored, those that back pointers lead to."""
        buffer, end = source.buffer, len(source.buffer)
        if self._chains_of is not source:
            self._chains, self._chains_of = {}, source
        at = position
        passed: list[int] = []
        while True:
            at = self._chains.get(at, at)
            if end - at < DATA_HEADER + 8:
                raise unreadable(source, position, f"there is no record at byte {at}")
            length = int.from_bytes(buffer[at + 34 : at + DATA_HEADER], "big")
            if length:
                break
            back = int.from_bytes(buffer[at + DATA_HEADER : at + DATA_HEADER + 8], "big")
            if not back:
                return b""
            if back >= at:
                raise unreadable(source, position, "its back pointer does not point backwards")
            if len(passed) < CHAINS:
                passed.append(at)
            at = back
        if length > end - at - DATA_HEADER:
            raise unreadable(source, position, f"the record at byte {at} runs past the end")
        if len(self._chains) + len(passed) > CHAINS:
            self._chains.clear()
        self._chains.update(dict.fromkeys(passed, at))
        return bytes(buffer[at + DATA_HEADER : at + DATA_HEADER + length])


def oid_at(source: Source, position: int) -> int:
    """Return the oid of the record at POSITION."""
    return int.from_bytes(source.buffer[position : position + 8], "big")


def unreadable(source: Source, position: int, reason: str) -> UnreadableRecord:
    """Return the error for the record at POSITION."""
    return UnreadableRecord(source.path, position, reason, oid_at(source, position))
