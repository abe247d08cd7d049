"""Reads a FileStorage in its order, past what is damaged, and looks at what points where.

A transaction that says its length twice holds together even if a record in it is
damaged: its next record is looked for by its tid. Where a length of the transaction
is wrong, the next sound one is looked for: by the first bytes of its tid, or by going
backwards from the end of the file. What lies between is one finding. Each step goes
forward.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from zmount.filestorage.cores import chosen
from zmount.filestorage.format import (
    DATA_HEADER,
    FIRST,
    MAX_TID,
    REASONS,
    STATUSES,
    TRANSACTION_HEADER,
    new_cursor,
    words,
)
from zmount.filestorage.objects import Table
from zmount.filestorage.source import BATCH, Source, header_length
from zmount.filestorage.verification import Findings

STRETCH = 1 << 24  # bytes: what a thread takes of the file at a time
MOST_TRIED = 1 << 18  # places that look like the beginning of a transaction or record
SINCE_1993 = b"\x04", b"\x03"  # how tids begin from April 2025 on, and before
NOT_LATER = 12  # codes of REASONS
BAD_STATUS = 4
TWO_LENGTHS = 5


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a file; ``transaction`` is where that begins in which it starts, or 0."""

    start: int
    stop: int
    transaction: int = 0


def cursor_of(source: Source, stretch: Stretch) -> array[int]:
    """Return a cursor of ``_records`` at the start of STRETCH."""
    core, cursor = chosen().records, new_cursor(stretch.start)
    if stretch.transaction:
        head = source.buffer[stretch.transaction : stretch.transaction + 16]
        cursor[core.TRANSACTION] = stretch.transaction
        cursor[core.LAST_TID] = int.from_bytes(head[:8], "big")
        cursor[core.STOP] = stretch.transaction + int.from_bytes(head[8:], "big")
    return cursor


class Structure:
    """What the first ``end`` bytes of a file are made of, as far as they were read.

    ``stretches`` are parts of it that can be read independently of each other:
    whole transactions, and parts of damaged ones. ``gaps`` could not be read.
    """

    def __init__(
        self,
        source: Source,
        end: int,
        findings: Findings,
        progress: Callable[[int], None] = lambda done: None,
    ) -> None:
        self.source = source
        self.end = end
        self.findings = findings
        self.progress = progress
        self.table = Table()
        self.stretches: list[Stretch] = []
        self.gaps: list[tuple[int, int]] = []
        self.records = 0
        self.transactions = 0
        self.last_tid = 0
        self._core = chosen().records
        self._check = chosen().check
        self._cursor = new_cursor()
        self._batch = words(BATCH * self._core.RECORD_FIELDS)
        self._doubts = words(BATCH)
        self._start = FIRST  # of the stretch at hand
        self._inside = 0  # the transaction in which that begins
        self._tried = 0
        self._sound_from: int | None = None  # from here to the end all is sound

    @property
    def position(self) -> int:
        """Where the next transaction or record is."""
        position: int = self._cursor[self._core.POSITION]
        return position

    def read(self, until: int) -> None:
        """Read the transactions that begin before UNTIL."""
        core, cursor = self._core, self._cursor
        while True:
            count = core.scan(self.source.buffer, cursor, self.end, MAX_TID, self._batch, until)
            if count:
                self._take(count)
            elif not cursor[core.ERROR]:
                break
            if cursor[core.ERROR]:
                self._go_on()
                cursor = self._cursor
            else:
                boundary = cursor[core.TRANSACTION] or self.position
                if boundary - self._start >= STRETCH:
                    self._end_stretch(boundary)
            self.progress(self.position)
        self._count()

    def _count(self) -> None:
        core, cursor = self._core, self._cursor
        self.records += cursor[core.RECORDS]
        self.transactions += cursor[core.TRANSACTIONS]
        self.last_tid = max(self.last_tid, cursor[core.LAST_TID])
        cursor[core.RECORDS] = cursor[core.TRANSACTIONS] = 0

    def finish(self) -> None:
        """Read to the end."""
        self.read(self.end)
        self._end_stretch(self.position)

    def _end_stretch(self, stop: int) -> None:
        if stop > self._start:
            self.stretches.append(Stretch(self._start, stop, self._inside))
        self._start, self._inside = stop, 0

    # what records point to

    def _take(self, count: int) -> None:
        self.table.make_room(count)
        new, doubtful = self._check.note(
            self.source.buffer, self.table.slots, self._batch, count, self._doubts
        )
        self.table.count += new
        for doubt in self._doubts[:doubtful]:
            self._tell(doubt >> self._check.DOUBTS, doubt)

    def _tell(self, number: int, doubt: int) -> None:
        """Say what is wrong with a doubtful record."""
        core, check = self._core, self._check
        at = number * core.RECORD_FIELDS
        oid, place = self._batch[at], self._batch[at + core.PLACE]
        if doubt & check.TID:
            reason = "its record has another tid than its transaction"
            self.findings.error("structure", reason, offset=place, oid=oid)
        if doubt & check.BACK:
            back = self._batch[at + core.BACK]
            reason = f"its back pointer leads to byte {back}, where it has no record"
            self.findings.error("back pointer", reason, offset=place, oid=oid)
        if doubt & check.PREVIOUS:
            self._tell_previous(oid, place, self._batch[at + core.PREVIOUS])

    def _tell_previous(self, oid: int, place: int, previous: int) -> None:
        number = bisect_right(self.gaps, (previous, MAX_TID))
        if number and previous < self.gaps[number - 1][1]:
            return  # it was there before the file was damaged
        if previous == 0:
            reason = "the record says that it is the object's first, which it is not"
        elif self._is_record_of(oid, previous):
            reason = f"the record skips those after byte {previous} in the object's history"
        else:
            reason = f"its previous record should be at byte {previous} and is not there"
            self.findings.error("history", reason, offset=place, oid=oid)
            return
        if not self.gaps:
            self.findings.warning("history", reason, offset=place, oid=oid)

    def _is_record_of(self, oid: int, position: int) -> bool:
        head = self.source.buffer[position : position + 8]
        return position >= FIRST and int.from_bytes(head, "big") == oid

    # past what is damaged

    def _go_on(self) -> None:
        """Tell what is wrong where the cursor stands, and put it behind that."""
        core, cursor = self._core, self._cursor
        code, at, transaction = cursor[core.ERROR], cursor[core.ERROR_AT], cursor[core.TRANSACTION]
        self._count()
        if transaction:
            self._go_on_inside(code)
            return
        if code == NOT_LATER and cursor[core.LAST_TID]:
            self.findings.error("order", REASONS[code], offset=at)
            self._end_stretch(at)
            after = at
        else:
            self._end_stretch(at)
            after = self._next_sound(at, code)
            self._lose(at, after, code)
            self._start = after
        tid = 0 if code == NOT_LATER else cursor[core.LAST_TID]
        self._cursor = new_cursor(after, tid)

    def _go_on_inside(self, code: int) -> None:
        """Put the cursor on the next record of the damaged transaction, or behind it."""
        core, cursor = self._core, self._cursor
        at, stop = cursor[core.ERROR_AT], cursor[core.STOP]
        after = self._next_record(at, cursor[core.TRANSACTION], stop)
        self._end_stretch(stop + 8)
        if after is None:
            self._lose(at, stop + 8, code)
            self._cursor = new_cursor(stop + 8, cursor[core.LAST_TID])
            return
        self._lose(at, after, code)
        self._start, self._inside = after, cursor[core.TRANSACTION]
        self._cursor = cursor_of(self.source, Stretch(after, stop + 8, self._inside))

    def _next_record(self, at: int, transaction: int, stop: int) -> int | None:
        """Return where a record of the TRANSACTION is that comes after AT: by its tid."""
        data: Any = self.source.buffer.obj
        buffer = self.source.buffer
        tid = bytes(buffer[transaction : transaction + 8])
        while self._tried < MOST_TRIED:
            place: int = data.find(tid, at + 9, stop) - 8
            if place <= at or stop - place < DATA_HEADER + 8:
                break
            self._tried += 1
            length = int.from_bytes(buffer[place + 34 : place + DATA_HEADER], "big")
            if (
                int.from_bytes(buffer[place + 24 : place + 32], "big") == transaction
                and not any(buffer[place + 32 : place + 34])
                and length <= stop - place - DATA_HEADER
            ):
                return place
            at = place
        return None

    def _lose(self, start: int, stop: int, code: int) -> None:
        self.gaps.append((start, stop))
        rest = "the rest of the file" if stop == self.end else "what follows"
        reason = f"{REASONS[code]}; {rest}, {stop - start} bytes, cannot be read"
        if stop != self.end:
            reason = f"{REASONS[code]}; {stop - start} bytes cannot be read"
        self.findings.error("structure", reason, offset=start)

    def _next_sound(self, at: int, code: int) -> int:
        """Return where the next sound transaction begins after that AT, or the end."""
        buffer = self.source.buffer
        if code in (BAD_STATUS, TWO_LENGTHS, NOT_LATER):  # the last one: its tid is 0
            after = at + int.from_bytes(buffer[at + 8 : at + 16], "big") + 8
            if after == self.end or (after < self.end and self._is_sound(after)):
                return after
        stop = self._sound_to_the_end()
        if stop <= at:
            stop = self.end
        for prefix in self._prefixes():
            if (found := self._find_sound(prefix, at, stop)) is not None:
                return found
        return stop

    def _find_sound(self, prefix: bytes, at: int, stop: int) -> int | None:
        """Return the first sound transaction between AT and STOP whose tid begins so."""
        data: Any = self.source.buffer.obj  # a memoryview has no find()
        while self._tried < MOST_TRIED:
            at = data.find(prefix, at + 1, stop)
            if at < 0:
                break
            self._tried += 1
            if self._is_sound(at):
                return at
        return None

    def _prefixes(self) -> list[bytes]:
        """Return with what the tids of further transactions may begin, the likeliest first.

        Two bytes of a tid last for 45 days, one for 32 years.
        """
        start = self._sound_to_the_end()
        low: bytes = self._cursor[self._core.LAST_TID].to_bytes(8, "big")
        high = bytes(self.source.buffer[start : start + 8]) if start < self.end else b""
        if not any(low):
            return [high[:2]] if high else list(SINCE_1993)
        same = 0
        while same < len(high) and low[same] == high[same]:
            same += 1
        return [low[:same]] if same else [low[:2], low[:1]]

    def _sound_to_the_end(self) -> int:
        """Return from where on the file is sound, found by going backwards from its end."""
        if self._sound_from is None:
            core = self._core
            cursor = new_cursor(self.end)
            batch = words(len(self._batch))
            while core.scan_back(self.source.buffer, cursor, FIRST, 0, batch):
                pass
            inside = cursor[core.TRANSACTION]
            self._sound_from = int(cursor[core.STOP] + 8 if inside else cursor[core.POSITION])
        return self._sound_from

    def _is_sound(self, position: int) -> bool:
        """Return whether a transaction that is later than the last one is at POSITION."""
        buffer, end = self.source.buffer, self.end
        if end - position < TRANSACTION_HEADER + 8:
            return False
        head = bytes(buffer[position : position + TRANSACTION_HEADER])
        length = int.from_bytes(head[8:16], "big")
        stop, first = position + length, position + header_length(head)
        if head[16] not in STATUSES or stop > end - 8 or first > stop:
            return False
        if int.from_bytes(head[:8], "big") <= self._cursor[self._core.LAST_TID]:
            return False
        if buffer[stop : stop + 8] != head[8:16]:
            return False
        if stop - first < DATA_HEADER:
            return first == stop
        return int.from_bytes(buffer[first + 24 : first + 32], "big") == position
