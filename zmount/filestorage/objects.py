"""Which objects a FileStorage has and where their last records are, found at speed.

Two threads scan the file: one forwards from its start, one backwards from its
end by the lengths that end each transaction. They meet at a transaction's
boundary if the file is sound; if they do not, a scan from the start says where
it is damaged. The cores run outside the interpreter's lock.
"""

from __future__ import annotations

import os
import threading
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from zmount.errors import CorruptFile
from zmount.filestorage.cores import chosen
from zmount.filestorage.format import FIRST, MAX_TID, new_cursor, words
from zmount.filestorage.source import BATCH, Source, raise_if_corrupt

SLOTS = 1 << 13  # of a new table; it doubles when three quarters are taken
STRIDE = 0x9E3779B1  # spreads the slots of one table that another takes in
TWO_THREADS_FROM = 1 << 24  # bytes: below it a second thread costs more than it brings
CLAIM = 1 << 24  # bytes that a thread takes for itself at a time

Progress = Callable[[int], None]


class Noting(Protocol):
    """What takes in records of a scan: a table, or what is as good for its purpose."""

    def note(self, records: array[int], count: int) -> None:
        """Take in the first COUNT of these records, in any order; it may change them."""

    def take(self, other: Any) -> None:
        """Take in what another one of the same kind knows."""


T = TypeVar("T", bound=Noting)


class Table:
    """Keys (oids) and a word for each: see _mark. Grows by itself; ``count`` are in it."""

    __slots__ = ("core", "count", "slots")

    def __init__(self, slots: int = SLOTS) -> None:
        self.core = chosen().mark
        self.slots = words(2 * slots)
        self.count = 0

    def make_room(self, more: int) -> None:
        """Let there be room for so many MORE keys."""
        size = len(self.slots) // 2
        if 4 * (self.count + more) <= 3 * size:
            return
        while 4 * (self.count + more) > 3 * size:
            size *= 2
        old, self.slots = self.slots, words(2 * size)
        self.core.merge(old, self.slots, 0, len(old) // 2)

    def note(self, records: array[int], count: int) -> None:
        """Take in the first COUNT of these records: the last one of an object counts."""
        self.make_room(count)
        self.count += self.core.note(self.slots, records, count)

    def note_after(self, records: array[int], count: int) -> None:
        """Take in that these records were written after the pack time."""
        self.make_room(count)
        self.count += self.core.note_after(self.slots, records, count)

    def note_targets(self, records: array[int], count: int) -> None:
        """Take in the positions that back pointers of these records lead to."""
        self.make_room(count)
        self.count += self.core.note_targets(self.slots, records, count)

    def set(self, key: int, word: int) -> None:
        """Let WORD be that of KEY."""
        self.make_room(1)
        self.count += self.core.set_word(self.slots, key, word)

    def word(self, key: int) -> int:
        """Return the word of KEY; 0 if there is none."""
        word: int = self.core.word_of(self.slots, key)
        return word

    def take(self, other: Table) -> None:
        """Take in what OTHER knows, which is empty afterwards; the later position wins."""
        if other.count > self.count:
            self.slots, other.slots = other.slots, self.slots
            self.count, other.count = other.count, self.count
        size = len(other.slots) // 2
        # in parts: most of its keys are known here, so room for all would be twice too much
        for first in range(0, size, SLOTS):
            self.make_room(SLOTS)
            last = min(first + SLOTS, size)
            self.count += self.core.merge(other.slots, self.slots, first, last, STRIDE)
        other.slots, other.count = words(2 * SLOTS), 0


@dataclass(slots=True)
class Found:
    """What a scan found.

    ``table`` has the objects with their last records until the pack time.
    ``pack_position`` is where the first transaction after it starts, or the
    end; ``targets`` are the positions that back pointers of records from there
    on lead to. ``is_unpacked``: a transaction until the pack time was written
    by no pack.
    """

    table: Table = field(default_factory=Table)
    targets: Table = field(default_factory=Table)
    pack_position: int = FIRST
    records: int = 0
    transactions: int = 0
    is_unpacked: bool = False


def scan(
    source: Source,
    end: int,
    *,
    until: int = MAX_TID,
    progress: Progress = lambda done: None,
) -> Found:
    """Scan SOURCE up to END; of what is later than the tid UNTIL note back pointers only.

    :param progress: called with the bytes that are done
    :raises CorruptFile: the file is damaged
    """
    found = Found()
    for scanner in _scanned(source, end, until, progress, Table):
        scanner.tell(found)
    return found


def scan_into(
    make: Callable[[], T], source: Source, end: int, *, progress: Progress = lambda done: None
) -> T:
    """Scan SOURCE up to END; return what MAKE makes, with all records noted in it.

    :raises CorruptFile: the file is damaged
    """
    first, *others = _scanned(source, end, MAX_TID, progress, make)
    for other in others:
        first.table.take(other.table)
    return first.table


def _scanned(
    source: Source, end: int, until: int, progress: Progress, make: Callable[[], T]
) -> Sequence[_Scanner[T]]:
    if end - FIRST >= TWO_THREADS_FROM and len(os.sched_getaffinity(0)) > 1:
        try:
            return _from_both_ends(source, end, until, progress, make)
        except CorruptFile:
            pass  # where it begins to be wrong only a scan from the start can tell
    forwards = _Forwards(source, until, end, make())
    forwards.is_in_order = True
    forwards.run(_Claims(FIRST, end), progress)
    return (forwards,)


def _from_both_ends(
    source: Source, end: int, until: int, progress: Progress, make: Callable[[], T]
) -> Sequence[_Scanner[T]]:
    claims = _Claims(FIRST, end)
    forwards = _Forwards(source, until, end, make())
    backwards = _Backwards(source, until, end, make())
    with ThreadPoolExecutor(1, "scan backwards") as thread:
        upper = thread.submit(backwards.run, claims, progress)
        forwards.run(claims, progress)
        upper.result()
    forwards.must_meet(backwards)
    return forwards, backwards


class _Claims:
    """Who scans what: one thread takes parts from below, the other one from above.

    A transaction is the business of the thread that claimed its first byte.
    """

    def __init__(self, low: int, high: int) -> None:
        self.first, self.low, self.high, self.end = low, low, high, high
        self._lock = threading.Lock()

    def from_below(self) -> int:
        """Claim the next part; return where it ends, 0 if nothing is left."""
        with self._lock:
            if self.low == self.high:
                return 0
            self.low = min(self.low + CLAIM, self.high)
            return self.low

    def from_above(self) -> int:
        """Claim the last part; return where it begins, 0 if nothing is left."""
        with self._lock:
            if self.low == self.high:
                return 0
            self.high = max(self.high - CLAIM, self.low)
            return self.high

    @property
    def done(self) -> int:
        """Bytes claimed so far."""
        return self.low - self.first + self.end - self.high


class _Scanner(Generic[T]):
    """One thread's scan; ``is_after``: what comes next is later than the pack time."""

    def __init__(self, source: Source, until: int, end: int, table: T) -> None:
        self.core = chosen().records
        self.lanes = words(chosen().lanes.LANES * chosen().lanes.LANE_FIELDS)
        self.source = source
        self.until = until
        self.end = end
        self.cursor = new_cursor()
        self.batch = words(BATCH * self.core.RECORD_FIELDS)
        self.table = table
        self.targets = Table()
        self.is_after = False
        self.is_unpacked = False
        self.pack_position = end

    @property
    def position(self) -> int:
        """The boundary between two transactions where the scan stands."""
        position: int = self.cursor[self.core.POSITION]
        return position

    def take(self, count: int) -> None:
        """Note the first COUNT records of the batch."""
        if self.is_after:
            self.targets.note_targets(self.batch, count)
        else:
            self.table.note(self.batch, count)

    def heed_cursor(self) -> None:
        """Take in what the cursor says of the transactions that it passed, also of empty ones.

        :raises CorruptFile: it met something damaged
        """
        raise_if_corrupt(self.source.path, self.cursor)
        if not self.is_after:
            self.is_unpacked |= bool(self.cursor[self.core.IS_UNPACKED])

    def tell(self: _Scanner[Table], found: Found) -> None:
        """Add what this thread found to what was found."""
        if found.transactions:
            found.table.take(self.table)
            found.targets.take(self.targets)
        else:
            found.table, found.targets = self.table, self.targets
        found.pack_position = self.pack_position
        found.is_unpacked |= self.is_unpacked
        found.records += self.cursor[self.core.RECORDS]
        found.transactions += self.cursor[self.core.TRANSACTIONS]


class _Forwards(_Scanner[T]):
    """From the start; ``is_in_order``: slower, and what is damaged first is met first."""

    is_in_order = False

    def run(self, claims: _Claims, progress: Progress) -> None:
        while limit := claims.from_below():
            while self._advance(limit):
                pass
            progress(claims.done)

    def _advance(self, limit: int) -> bool:
        """Take a batch of transactions that begin before LIMIT; return whether there was one."""
        until = MAX_TID if self.is_after else self.until
        what = self.source.buffer, self.cursor, self.end, until, self.batch
        if self.is_in_order:
            count = self.core.scan(*what, limit)
        else:
            count = chosen().lanes.scan(*what, self.lanes, limit)
        self.heed_cursor()
        if count:
            self.take(count)
        elif self.position < limit and not self.is_after:
            self.is_after = True
            self.pack_position = self.position
        else:
            return False
        return True

    def must_meet(self, other: _Backwards[T]) -> None:
        """Check that the other thread stopped where this one did; settle the pack position."""
        tid = self.core.LAST_TID
        met = self.position == other.position
        if not met or 0 < other.cursor[tid] <= self.cursor[tid]:
            raise CorruptFile(self.source.path, self.position, "the scans did not meet")
        if not self.is_after:
            self.pack_position = other.position if other.is_after else other.pack_position
        other.pack_position = self.pack_position


class _Backwards(_Scanner[T]):
    def __init__(self, source: Source, until: int, end: int, table: T) -> None:
        super().__init__(source, until, end, table)
        self.cursor = new_cursor(end)
        self.is_after = until < MAX_TID

    def run(self, claims: _Claims, progress: Progress) -> None:
        while limit := claims.from_above():
            while self._advance(limit):
                pass
            progress(claims.done)

    def _advance(self, limit: int) -> bool:
        """Take a batch of transactions that begin at LIMIT or later; return whether there was."""
        after = self.until if self.is_after else 0
        what = self.source.buffer, self.cursor, FIRST, after, self.batch
        count = chosen().lanes.scan(*what, self.lanes, limit, True)
        self.heed_cursor()
        if count:
            self.take(count)
        elif self.is_after and self.position > max(limit, FIRST) and not self._is_next_after():
            self.is_after = False
            self.cursor[self.core.IS_UNPACKED] = 0
            self.pack_position = self.position
        else:
            return False
        return True

    def _is_next_after(self) -> bool:
        """Return whether the transaction that ends here is later than the pack time."""
        buffer, end = self.source.buffer, self.position
        start = end - 8 - int.from_bytes(buffer[end - 8 : end], "big")
        return start < FIRST or int.from_bytes(buffer[start : start + 8], "big") > self.until
