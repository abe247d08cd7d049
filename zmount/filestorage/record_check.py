"""Can each record be read, and is all there that the current ones refer to?

Two threads take the file's stretches one after the other.
"""

from __future__ import annotations

import os
import threading
from array import array
from bisect import bisect_right
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from zmount.errors import UnreadableRecord
from zmount.filestorage.cores import chosen
from zmount.filestorage.format import MAX_TID, oid_text, words
from zmount.filestorage.objects import TWO_THREADS_FROM, Table
from zmount.filestorage.pickles import is_blob
from zmount.filestorage.references import Batch, References
from zmount.filestorage.source import BATCH
from zmount.filestorage.structure import Stretch, Structure, cursor_of
from zmount.filestorage.verification import Findings

Foreign = dict[tuple[str, int], int]


@dataclass(slots=True)
class Records:
    """What the records of a file say.

    ``foreign`` are the current references to other databases: name and oid, with
    the position of a record that has it. ``blobs`` are the blob records: oid and
    tid, as one number, with their position, negative where it is not the current
    one. ``odd`` is how many only ZODB's referencesf could read.
    """

    foreign: Foreign = field(default_factory=dict)
    blobs: dict[int, int] = field(default_factory=dict)
    odd: int = 0


def check_records(
    structure: Structure,
    findings: Findings,
    *,
    there: Table | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Records:
    """Read every record; put what is wrong into FINDINGS.

    :param there: the objects that may be referred to; None: those of the file
    """
    stretches = _Stretches(list(reversed(structure.stretches)), progress)
    is_large = structure.end >= TWO_THREADS_FROM and len(os.sched_getaffinity(0)) > 1
    known = structure.table if there is None else there
    readers = [_Reader(structure, known, findings) for _ in range(2 if is_large else 1)]
    with ThreadPoolExecutor(1, "check records") as thread:
        others = [thread.submit(each.run, stretches) for each in readers[1:]]
        try:
            readers[0].run(stretches)
        finally:
            stretches.left.clear()  # an error, or Ctrl-C, need not wait for the other
        for other in others:
            other.result()
    records = Records()
    for reader in readers:
        for key, position in reader.found.foreign.items():
            records.foreign[key] = min(position, records.foreign.get(key, position))
        records.blobs.update(reader.found.blobs)
        records.odd += reader.odd
    return records


class _Stretches:
    """The parts of the file that are left, for whoever comes next."""

    def __init__(self, left: list[Stretch], progress: Callable[[int], None]) -> None:
        self.left = left
        self._done = 0
        self._progress = progress
        self._lock = threading.Lock()

    def next(self) -> Stretch | None:
        """Take a part; None: nothing is left."""
        with self._lock:
            if not self.left:
                return None
            stretch = self.left.pop()
            self._progress(self._done)
            self._done += stretch.stop - stretch.start
            return stretch


class _Reader:
    """One thread, with its buffers."""

    def __init__(self, structure: Structure, there: Table, findings: Findings) -> None:
        self._core = chosen().records
        self._check = chosen().check
        self._structure = structure
        self._source = structure.source
        self._slots = structure.table.slots
        self._there = there.slots
        self._findings = findings
        self.found = Records()
        self._current = References(
            self._source, foreign=self.found.foreign, report=self._tell_unreadable
        )
        self._old = References(self._source, report=self._tell_unreadable)
        self._batch = words(BATCH * self._core.RECORD_FIELDS)
        self._places = words(BATCH), words(BATCH)
        self._missing = words(BATCH)

    @property
    def odd(self) -> int:
        """How many records only referencesf could read."""
        return self._current.unknown + self._old.unknown

    def run(self, stretches: _Stretches) -> None:
        """Read parts until none is left."""
        while stretch := stretches.next():
            self._read(stretch)

    def _read(self, stretch: Stretch) -> None:
        cursor, stop = cursor_of(self._source, stretch), stretch.stop
        # where it is damaged is known already: then there is nothing more to read in it
        while count := self._core.scan(
            self._source.buffer, cursor, stop, MAX_TID, self._batch, stop
        ):
            self._take(count)

    def _take(self, count: int) -> None:
        current, old = self._places
        now, before = self._check.divide(self._slots, self._batch, count, current, old)
        for batch in self._current.of(current, now):
            self._look_up(batch, current)
        for _ in self._old.of(old, before):
            pass
        self._note_blobs(count)

    def _look_up(self, batch: Batch, places: array[int]) -> None:
        first, done, oids, ends = batch
        found = ends[done - 1]
        if len(self._missing) < found:
            self._missing = words(2 * found)
        lost = self._check.dangling(self._there, oids, found, self._missing)
        if lost and self._findings.is_full("dangling"):
            self._findings.count_more("error", "dangling", lost)
            return
        told: set[tuple[int, int]] = set()
        for number in self._missing[:lost]:
            place, oid = places[bisect_right(ends, number, first, done)], oids[number]
            if (place, oid) not in told:
                told.add((place, oid))
                reason = f"it refers to oid {oid_text(oid)}, which is nowhere"
                self._findings.error(
                    "dangling", reason, offset=place, oid=oid, holder=self._oid(place)
                )

    def _note_blobs(self, count: int) -> None:
        found = self._missing
        number = self._check.blobs(self._source.buffer, self._batch, count, found)
        for word in found[:number]:
            at = (word >> self._check.DOUBTS) * self._core.RECORD_FIELDS
            oid, place = self._batch[at], self._batch[at + self._core.PLACE]
            if not word & self._check.BLOB and not self._is_blob(place):
                continue
            tid = int.from_bytes(self._source.buffer[place + 8 : place + 16], "big")
            is_current = self._structure.table.word(oid) >> self._check.SHIFT == place
            self.found.blobs[oid << 64 | tid] = place if is_current else -place

    def _is_blob(self, place: int) -> bool:
        try:
            return is_blob(self._old.data(place))
        except UnreadableRecord:
            return False  # which was told when its references were read

    def _tell_unreadable(self, why: UnreadableRecord) -> None:
        reason = why.reason.partition(": ")[2]  # after the oid, which a finding has
        self._findings.error("record", reason, offset=why.offset, oid=why.oid)

    def _oid(self, place: int) -> int:
        return int.from_bytes(self._source.buffer[place : place + 8], "big")
