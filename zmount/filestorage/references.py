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


# first, done, oids, ends: oids[ends[n - 1]:ends[n]] are the references of record n, for n
# from first to done; those of record first begin at 0
Batch = tuple[int, int, "array[int]", "array[int]"]


class References:
    """Reads the references of SOURCE's records; has buffers of its own, so one for each thread.

    ``foreign`` takes the references to other databases, if there is one: the
    database's name and the oid, with the position of a record that refers to
    it. ``unknown`` is how many records went to ``referencesf``, ``odd`` the oid
    and position of the first of them. ``report`` takes what would be raised; its
    record counts as one without references.
    """

    def __init__(
        self,
        source: Source,
        *,
        referencesf: Callable[[bytes], list[bytes]] | None = None,
        foreign: dict[tuple[str, int], int] | None = None,
        report: Callable[[UnreadableRecord], None] | None = None,
    ) -> None:
        self.source = source
        self._report = report or _raise
        self.foreign = foreign
        self.unknown = 0
        self.odd: list[tuple[int, int]] = []
        self._referencesf = referencesf or safe_referencesf
        self._core = chosen().references
        self._memory = words(3 * ROOM + 1)
        self._oids = words(OIDS)
        self._make_room(BATCH)
        self._chains: dict[int, int] = {}

    def _make_room(self, count: int) -> None:
        self._ends, self._unknown, self._foreign = words(count), words(count), words(count)

    def of(self, positions: array[int], count: int) -> Iterator[Batch]:
        """Yield the references of the records at the first COUNT of these POSITIONS.

        The arrays of a batch are overwritten when the next one is made.

        :raises UnreadableRecord: a record's references cannot be known
        """
        if count > len(self._ends):
            self._make_room(count)
        done = 0
        while done < count:
            first = done
            done, unknown, foreign = self._core.walk(
                self.source.buffer,
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
                    self._try_to_note(positions[number])
            if unknown:
                yield first, done, *self._completed(positions, first, done, unknown)
            else:
                yield first, done, self._oids, self._ends

    def of_one(self, position: int) -> array[int]:
        """Return the references of the record at POSITION.

        :raises UnreadableRecord: they cannot be known
        """
        ((_, _, oids, ends),) = self.of(array("Q", [position]), 1)
        return oids[: ends[0]]

    def _completed(
        self, positions: array[int], first: int, done: int, unknown: int
    ) -> tuple[array[int], array[int]]:
        """Return the oids and ends of a chunk with those of its unknown records put in."""
        oids, ends = array("Q"), self._ends[:done]
        missing = iter(self._unknown[:unknown])
        number, start = next(missing), 0
        for at in range(first, done):
            if at == number:
                oids.extend(self._oids[start : self._ends[at]])
                start = self._ends[at]
                try:
                    oids.extend(self._slowly(positions[at]))
                except UnreadableRecord as why:
                    self._report(why)
                number = next(missing, done)
            ends[at] = len(oids) + self._ends[at] - start
        oids.extend(self._oids[start : self._ends[done - 1]])
        return oids, ends

    def _slowly(self, position: int) -> array[int]:
        """Return the references of a record that the core does not know."""
        stored = self._stored(position)
        data = self._plain(position, stored)
        if not data:
            return array("Q")  # a long way to a record that undoes the creation
        found, is_foreign = None, True
        if len(data) > ROOM or data is not stored:
            found, is_foreign = self._walked(data)
        if found is None:
            self.unknown += 1
            if len(self.odd) < REMEMBERED:
                self.odd.append((self._oid(position), position))
            found = self._asked(position, data)
        if is_foreign and self.foreign is not None:
            self._note_foreign(position, data)
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

    def _asked(self, position: int, data: bytes) -> array[int]:
        """Return the references that ``referencesf`` finds."""
        try:
            oids = self._referencesf(data)
        except REFUSED as why:
            reason = f"its references cannot be read: {str(why) or type(why).__name__}"
            raise self._unreadable(position, reason) from None
        if any(len(oid) != 8 for oid in oids):
            raise self._unreadable(position, "it has a reference that is not 8 bytes long")
        return array("Q", (int.from_bytes(oid, "big") for oid in oids))

    def _try_to_note(self, position: int) -> None:
        try:
            self._note_foreign(position, self.data(position))
        except UnreadableRecord as why:
            self._report(why)

    def _note_foreign(self, position: int, data: bytes) -> None:
        """Take in the references to other databases."""
        assert self.foreign is not None  # nobody asks otherwise
        try:
            found = foreign_references(persistent_ids(data))
        except REFUSED as why:
            raise self._unreadable(position, f"odd reference to a database: {why}") from None
        for reference in found:
            self.foreign.setdefault(reference, position)

    def data(self, position: int) -> bytes:
        """Return the pickles of the record at POSITION, decompressed; empty: creation undone.

        :raises UnreadableRecord: there is no such record, or it cannot be decompressed
        """
        return self._plain(position, self._stored(position))

    def _plain(self, position: int, stored: bytes) -> bytes:
        if not stored.startswith(COMPRESSED):
            return stored
        unpacker = zlib.decompressobj()
        try:
            data = unpacker.decompress(stored[len(COMPRESSED) :], LONGEST)
        except zlib.error as why:
            raise self._unreadable(position, f"it cannot be decompressed: {why}") from None
        if not unpacker.eof:
            what = "is cut short" if len(data) < LONGEST else f"has more than {LONGEST} bytes"
            raise self._unreadable(position, f"decompressed, it {what}")
        return data

    def _stored(self, position: int) -> bytes:
        """Return the pickles as they are stored, those that back pointers lead to."""
        buffer, end = self.source.buffer, len(self.source.buffer)
        at = position
        passed: list[int] = []
        while True:
            at = self._chains.get(at, at)
            if end - at < DATA_HEADER + 8:
                raise self._unreadable(position, f"there is no record at byte {at}")
            length = int.from_bytes(buffer[at + 34 : at + DATA_HEADER], "big")
            if length:
                break
            back = int.from_bytes(buffer[at + DATA_HEADER : at + DATA_HEADER + 8], "big")
            if not back:
                return b""
            if back >= at:
                raise self._unreadable(position, "its back pointer does not point backwards")
            if len(passed) < CHAINS:
                passed.append(at)
            at = back
        if length > end - at - DATA_HEADER:
            raise self._unreadable(position, f"the record at byte {at} runs past the end")
        if len(self._chains) + len(passed) > CHAINS:
            self._chains.clear()
        self._chains.update(dict.fromkeys(passed, at))
        return bytes(buffer[at + DATA_HEADER : at + DATA_HEADER + length])

    def _oid(self, position: int) -> int:
        return int.from_bytes(self.source.buffer[position : position + 8], "big")

    def _unreadable(self, position: int, reason: str) -> UnreadableRecord:
        return UnreadableRecord(self.source.path, position, reason, self._oid(position))


def _raise(why: UnreadableRecord) -> None:
    raise why
