"""What a pack keeps: the objects that its roots lead to.

Until the pack time the last record of an object counts. Roots are the root
object, what other databases refer to, every record after the pack time, and the
older records that such a record's back pointer needs (an undo): whoever looks
at the database at the pack time or later finds all that he can refer to.

A reference that leads nowhere is noted with its holder, and the search goes on.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain

from zmount.errors import PackRefused
from zmount.filestorage.cores import chosen
from zmount.filestorage.format import MAX_TID, new_cursor, words
from zmount.filestorage.objects import Found
from zmount.filestorage.pickles import safe_referencesf
from zmount.filestorage.references import Batch, References
from zmount.filestorage.source import BATCH, Source, raise_if_corrupt

WAVE = 1 << 14  # records that are walked before their references are looked up
SHARED_FROM = 1 << 10  # records: below it a second thread costs more than it brings
MOST_NOTED = 1000  # dangling references of which the details are kept
ROOT = 0  # the oid of the root object

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dangling:
    """A reference to an object that the database does not have.

    ``holder`` is the oid of the object whose record, at ``position`` in the
    file, refers to ``oid``; None where another database does.
    """

    oid: int
    holder: int | None
    position: int


class Reach:
    """Flags in ``found.table`` what is reachable; see the module.

    After use ``walked`` is the number of records looked into, ``unknown`` of
    those that only ``referencesf`` could read, ``dangling`` holds the first
    MOST_NOTED of ``dangling_count`` references that lead nowhere.
    """

    def __init__(
        self,
        source: Source,
        found: Found,
        *,
        progress: Progress = lambda walked: None,
        referencesf: Callable[[bytes], list[bytes]] = safe_referencesf,
    ) -> None:
        self.core = chosen().mark
        self._source = source
        self.found = found
        self.table = found.table
        self.progress = progress
        self.walked = 0
        self._lost = 0
        self._dangling: list[Dangling] = []
        self._walkers = (
            References(source, referencesf=referencesf),
            References(source, referencesf=referencesf),
        )
        self._todo = words(2 * WAVE)
        self._depth = 0
        self._missing = words(WAVE)

    @property
    def source(self) -> Source:
        """The file; may be replaced by itself with a later end."""
        return self._source

    @source.setter
    def source(self, source: Source) -> None:
        self._source = source
        for walker in self._walkers:
            walker.source = source

    @property
    def unknown(self) -> int:
        """Records that only ``ZODB.serialize.referencesf`` could read."""
        return sum(walker.unknown for walker in self._walkers)

    @property
    def is_garbage_left(self) -> bool:
        """Whether an object has a record until the pack time, and nothing leads to it."""
        count, slots, nowhere = self.core.pairs_of, self.table.slots, words(0)
        return bool(count(slots, 0, nowhere) > count(slots, self.core.REACHED, nowhere))

    @property
    def dangling(self) -> tuple[Dangling, ...]:
        """The references that lead nowhere, once all is flagged.

        What was created after the pack time only is there, after all.
        """
        table, after = self.table, self.core.AFTER
        gone = (each for each in self._dangling if not table.word(each.oid) & after)
        return tuple(sorted(gone, key=lambda each: (each.oid, each.position)))

    @property
    def dangling_count(self) -> int:
        """How many references lead nowhere, those without details included."""
        return self._lost - len(self._dangling) + len(self.dangling)

    def everything(self, *, with_deleted: bool = False) -> None:
        """Flag all objects: a pack that collects no garbage.

        WITH_DELETED also keeps the records that say that an object is no more.
        """
        core, slots = self.core, self.table.slots
        core.reach_all(slots)
        if with_deleted:
            pairs = words(2 * core.pairs_of(slots, core.GONE, words(0)))
            core.pairs_of(slots, core.GONE, pairs)
            for position in pairs[1::2]:
                self.found.targets.set(position, core.REACHED)

    def from_oids(self, oids: Iterable[int]) -> None:
        """Flag what these oids lead to as of the pack time; each is known to be referred to."""
        roots = array("Q", oids)
        self._make_room(len(roots))
        depth, lost = self.core.reach(
            self.table.slots, roots, len(roots), self._todo, self._depth, self._missing
        )
        self._depth = depth
        for number in self._missing[:lost]:
            self._note(Dangling(oid=roots[number], holder=None, position=0))
        self._run()

    def from_root(self) -> None:
        """Flag what the root object leads to.

        :raises PackRefused: there are objects, but no root: all would be garbage
        """
        core, slots, nowhere = self.core, self.table.slots, words(0)
        word = self.table.word(ROOT)
        if word and not word & core.GONE:
            self.from_oids([ROOT])
        elif core.pairs_of(slots, 0, nowhere) > core.pairs_of(slots, core.GONE, nowhere):
            raise PackRefused(
                f"{self.source.path}: there is no root object (oid 0): all would be garbage",
                hint="pack the history only: --no-gc, or pack-gc false",
            )

    def from_undone(self, end: int) -> None:
        """Flag what the older records lead to that undos after the pack time brought back.

        As in ZODB's fspack, references are followed as of the pack time, unless
        the object was not reachable then: its first such record is like any
        record after the pack time.
        """
        if not self.found.targets.count:
            return
        first = self.found.pack_position
        core = chosen().records
        roots: set[int] = set()
        revived: dict[int, int] = {}
        for batch, count in self._batches(end):
            back = batch[core.BACK : count * core.RECORD_FIELDS : core.RECORD_FIELDS]
            if not any(back):
                continue
            for number, target in enumerate(back):
                if 0 < target < first:
                    oid = batch[number * core.RECORD_FIELDS]
                    is_reached = self.table.word(oid) & self.core.REACHED
                    if is_reached or revived.setdefault(oid, target) != target:
                        roots.add(target)
        self._push(sorted(roots))
        self._run()

    def from_after(self, end: int) -> None:
        """Flag what the records between the pack time and END lead to.

        Each refers to the objects as they were in its transaction: one that has
        a record after the pack time by then needs no older one.
        """
        for batch, count in self._batches(end):
            self._reach_after(batch, count)
            self._run()

    def is_more_from(self, start: int, end: int) -> bool:
        """Flag what the records between START and END refer to; return whether it was garbage.

        What that leads to in turn is left alone.
        """
        for batch, count in self._batches(end, start):
            self._reach_after(batch, count)
        return self._depth > 0

    def flag_after(self, end: int, *, start: int = 0) -> None:
        """Only flag that objects have records between START (the pack position) and END."""
        for batch, count in self._batches(end, start):
            self.table.note_after(batch, count)

    def _batches(self, end: int, start: int = 0) -> Iterable[tuple[array[int], int]]:
        core = chosen().records
        cursor = new_cursor(start or self.found.pack_position)
        batch = words(BATCH * core.RECORD_FIELDS)
        buffer = self.source.buffer
        while count := core.scan(buffer, cursor, end, MAX_TID, batch):
            self._next = array("Q", cursor)  # where a transaction in two batches goes on
            yield batch, count
        raise_if_corrupt(self.source.path, cursor)

    def _flag_rest(self, batch: array[int], count: int) -> None:
        """Flag the records of the batch's last transaction that are not in the batch."""
        core = chosen().records
        cursor = self._next
        if not cursor[core.TRANSACTION]:
            return
        stop = cursor[core.STOP]
        rest = words(len(batch))
        while cursor[core.POSITION] < stop:
            found = core.scan(self.source.buffer, cursor, stop + 8, MAX_TID, rest)
            raise_if_corrupt(self.source.path, cursor)
            self.table.note_after(rest, found)

    def _reach_after(self, batch: array[int], count: int) -> None:
        core = chosen().records
        self._flag_rest(batch, count)
        self.table.make_room(count)
        places = batch[core.PLACE : count * core.RECORD_FIELDS : core.RECORD_FIELDS]
        # one thread: the records' order counts
        for first, done, oids, ends in self._walkers[0].of(places, count):
            self._make_room(ends[done - 1])
            self._depth, lost, new = self.core.reach_after(
                self.table.slots,
                batch[first * core.RECORD_FIELDS : done * core.RECORD_FIELDS],
                done - first,
                oids,
                ends[first:done],
                self._todo,
                self._depth,
                self._missing,
            )
            self.table.count += new
            self._note_missing((first, done, oids, ends), lost, places)

    def _push(self, positions: list[int]) -> None:
        self._make_room(len(positions))
        for position in positions:
            self._todo[self._depth] = position
            self._depth += 1

    def _make_room(self, more: int) -> None:
        if len(self._todo) < self._depth + more:
            self._todo.extend(words(self._depth + more))
        if len(self._missing) < more:
            self._missing = words(2 * more)

    def _run(self) -> None:
        """Walk the records on the stack, and what they lead to, until nothing is left."""
        with ThreadPoolExecutor(1, "walk") as thread:
            while self._depth:
                count = min(self._depth, WAVE)
                self._depth -= count
                positions = self._todo[self._depth : self._depth + count]
                self._walk(positions, count, thread)
                self.walked += count
                self.progress(self.walked)

    def _walk(self, positions: array[int], count: int, thread: ThreadPoolExecutor) -> None:
        mine, other = self._walkers
        if count < SHARED_FROM:
            self._reach(mine.of(positions, count), positions)
            return
        middle = count // 2
        rest = positions[middle:]
        upper = other.of(rest, count - middle)
        ahead = thread.submit(next, upper)
        self._reach(mine.of(positions, middle), positions)
        self._reach(chain((ahead.result(),), upper), rest)

    def _reach(self, batches: Iterable[Batch], positions: array[int]) -> None:
        for first, done, oids, ends in batches:
            found = ends[done - 1]
            self._make_room(found)
            self._depth, lost = self.core.reach(
                self.table.slots, oids, found, self._todo, self._depth, self._missing
            )
            self._note_missing((first, done, oids, ends), lost, positions)

    def _note_missing(self, batch: Batch, lost: int, positions: array[int]) -> None:
        first, done, oids, ends = batch
        for number in self._missing[:lost]:
            position = positions[bisect_right(ends, number, first, done)]
            holder = int.from_bytes(self.source.buffer[position : position + 8], "big")
            self._note(Dangling(oid=oids[number], holder=holder, position=position))

    def _note(self, dangling: Dangling) -> None:
        self._lost += 1
        if len(self._dangling) < MOST_NOTED:
            self._dangling.append(dangling)
