"""A pack, except for its process and its locks: survey, write, catch up.

1. survey:   which objects are there at the pack time, which of them are kept
2. write:    copy what is kept, and all that is later, into a new file
3. catch up: copy what was committed meanwhile, again and again
4. the new file's index, and the blobs that nothing in the new file needs

A commit meanwhile can refer to an object that was garbage when the survey was
made (a browser's cut and paste lasts as long as its user likes). Stock packs
lose it. Here :exc:`SurveyOutdated` says that the survey must be made again.
"""

from __future__ import annotations

import zlib
from array import array
from binascii import hexlify
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from zmount.errors import CorruptFile
from zmount.filestorage.cores import chosen
from zmount.filestorage.format import FIRST, MAX_TID, new_cursor, words
from zmount.filestorage.objects import Found, scan
from zmount.filestorage.output import Measure, Output
from zmount.filestorage.pickles import is_blob, safe_referencesf
from zmount.filestorage.reach import Reach
from zmount.filestorage.source import BATCH, Source, raise_if_corrupt

CANDIDATES = 1 << 12  # records that may be blobs, handed over at a time
CLASS_NAME = 64  # bytes of a record in which a blob's class is named
PACKED = ord("p")  # the status of a transaction that a pack wrote

Progress = Callable[[str, int, int], None]  # phase, done and total bytes


class SurveyOutdated(Exception):
    """A later transaction refers to something that the survey found to be garbage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to pack: all up to the tid ``stop`` in the first ``end`` bytes of ``path``.

    ``gc``: drop unreachable objects; without it ``keep_deleted`` keeps what says
    that an object was deleted; ``wants_blobs``: find out which blobs go;
    ``foreign``: oids that other databases refer to.
    """

    path: Path
    end: int
    stop: int
    gc: bool = True
    keep_deleted: bool = False
    wants_blobs: bool = False
    foreign: tuple[int, ...] = ()


@dataclass(slots=True)
class Figures:
    """What a pack did: counts of objects, revisions (data records), bytes."""

    objects_before: int = 0
    objects_after: int = 0
    revisions_dropped: int = 0
    size_after: int = 0
    unknown_records: int = 0
    dangling_count: int = 0
    dangling: list[tuple[int, int | None]] = field(default_factory=list)


class Packing:
    """One pack of ``job``; its methods in the order of the module's list."""

    def __init__(
        self,
        source: Source,
        job: Job,
        progress: Progress,
        referencesf: Callable[[bytes], list[bytes]] = safe_referencesf,
    ) -> None:
        self.source = source
        self.job = job
        self.progress = progress
        self.referencesf = referencesf
        self.core = chosen().copy
        self.found: Found
        self.reach: Reach
        self.figures = Figures()
        self.cursor = words(self.core.CURSOR_FIELDS)
        self.cursor[self.core.POSITION] = FIRST
        self._targets = words(2)  # none, at no cost
        self._blobs = words(CANDIDATES if job.wants_blobs else 0)
        self._dropped_blobs: list[int] = []

    def survey(self) -> None:
        """Flag what is kept.

        :raises CorruptFile: the file is damaged, or a record cannot be read
        """
        job = self.job
        self.found = scan(
            self.source,
            job.end,
            until=job.stop,
            progress=lambda done: self.progress("scan", done, job.end),
        )
        objects = self.found.table.count
        self.reach = Reach(
            self.source,
            self.found,
            progress=lambda done: self.progress("mark", done, objects),
            referencesf=self.referencesf,
        )
        if self.found.pack_position == FIRST:
            pass  # nothing is older than the pack time: nothing can go, damaged records or not
        elif job.gc:
            self.reach.from_root()
            self.reach.from_undone(job.end)
            self.reach.from_oids(job.foreign)
            self.reach.from_after(job.end)
        else:
            self.reach.everything(with_deleted=job.keep_deleted)
            self.reach.flag_after(job.end)
        if self.found.targets.count:
            self._targets = self.found.targets.slots

    @property
    def is_redundant(self) -> bool:
        """Whether a pack to this time or a later one was made before, and nothing can go since.

        After one that packed the history only there may be garbage.
        """
        position = self.found.pack_position
        if self.found.is_unpacked or position == FIRST:
            return False
        if position < self.job.end:
            return self.source.buffer[position + 16] == PACKED
        return not (self.job.gc and self.reach.is_garbage_left)

    def frees_nothing(self, output: Output | Measure) -> bool:
        """Copy what is kept until the pack time; return whether that is all there was."""
        output.buffer[:FIRST] = self.source.buffer[:FIRST]
        output.put(FIRST)
        self.cursor[self.core.WRITTEN] = FIRST
        self._copy(output, self.found.pack_position)
        return self.size == self.found.pack_position

    def write_rest(self, output: Output | Measure) -> None:
        """Copy what is later than the pack time."""
        self._copy(output, self.job.end)

    def catch_up(self, source: Source, output: Output | Measure) -> array[int]:
        """Copy what was committed since; return pairs of oids and positions in the new file.

        :param source: the same file with a later end
        :raises SurveyOutdated: make the survey again, up to this end
        """
        start = self.job.end
        self.source = self.reach.source = source
        self.job = replace(self.job, end=source.end)
        if not self.job.gc:
            self.reach.flag_after(source.end, start=start)
        elif self.reach.is_more_from(start, source.end):
            raise SurveyOutdated("a later transaction refers to an object that was garbage")
        try:
            self._copy(output, source.end)
        except CorruptFile as why:
            # if it is not the file, it is an undo that leads to what was dropped
            raise SurveyOutdated(str(why)) from None
        pairs = array("Q")
        for oid in self._oids(start, source.end):
            pairs.extend((oid, self.found.table.word(oid) >> chosen().mark.SHIFT))
        return pairs

    def must_keep(self, foreign: tuple[int, ...]) -> None:
        """Check that what other databases refer to by now is kept.

        :raises SurveyOutdated: it is not
        """
        mark, table = chosen().mark, self.found.table
        more = set(foreign).difference(self.job.foreign)
        self.job = replace(self.job, foreign=foreign)
        words_of = (table.word(oid) for oid in more)
        if any(word and not word & (mark.REACHED | mark.AFTER | mark.GONE) for word in words_of):
            raise SurveyOutdated("another database refers to an object that was garbage")

    @property
    def size(self) -> int:
        """Bytes of the new file so far."""
        size: int = self.cursor[self.core.WRITTEN]
        return size

    def removed_blobs(self) -> Iterator[bytes]:
        """Yield the lines of FileStorage's ``.removed``: blobs that nothing needs any more.

        An oid for all revisions of a blob, an oid and a tid for one of them.
        """
        kept = self._undone_revisions()
        revived = {oid for oid, _ in kept}
        mark = chosen().mark
        for position in self._dropped_blobs:
            revision = bytes(self.source.buffer[position : position + 16])
            oid = int.from_bytes(revision[:8], "big")
            tid = int.from_bytes(revision[8:], "big")
            if (oid, tid) in kept or not self._is_blob(position):
                continue
            is_there = self.found.table.word(oid) & (mark.REACHED | mark.AFTER) or oid in revived
            yield hexlify(revision if is_there else revision[:8]) + b"\n"

    def report(self) -> Figures:
        """Return the figures so far."""
        core, mark, figures = self.core, chosen().mark, self.figures
        table = self.found.table
        figures.objects_before = table.count  # with those that are new since: they stay
        figures.objects_after = mark.pairs_of(table.slots, mark.MOVED, words(0))
        figures.revisions_dropped = self.cursor[core.DROPPED]
        figures.size_after = self.size
        figures.unknown_records = self.reach.unknown
        figures.dangling = [(each.oid, each.holder) for each in self.reach.dangling]
        figures.dangling_count = self.reach.dangling_count
        return figures

    def _copy(self, output: Output | Measure, end: int) -> None:
        core, cursor, blobs = self.core, self.cursor, self._blobs
        found, buffer = self.found, self.source.buffer
        while True:
            filled = core.copy(
                buffer,
                cursor,
                end,
                found.pack_position,
                found.table.slots,
                self._targets,
                output.buffer,
                blobs,
            )
            if cursor[core.CANDIDATES]:
                self._dropped_blobs.extend(blobs[: cursor[core.CANDIDATES]])
                cursor[core.CANDIDATES] = 0
            if filled:
                output.put(filled)
            if cursor[core.LOST]:
                why = "its back pointer leads to no record of the object"
                raise CorruptFile(self.source.path, cursor[core.LOST], why)
            if cursor[core.PHASE] == core.BETWEEN and cursor[core.POSITION] >= end:
                return
            self.progress("copy", cursor[core.POSITION], end)

    def _oids(self, start: int, end: int) -> Iterator[int]:
        """Yield the oid of each record between two positions of the source."""
        core = chosen().records
        cursor = new_cursor(start)
        batch = words(BATCH * core.RECORD_FIELDS)
        while count := core.scan(self.source.buffer, cursor, end, MAX_TID, batch):
            yield from batch[core.OID : count * core.RECORD_FIELDS : core.RECORD_FIELDS]
        raise_if_corrupt(self.source.path, cursor)

    def _undone_revisions(self) -> set[tuple[int, int]]:
        """Return oid and tid of the older records that undos need."""
        slots, buffer = self.found.targets.slots, self.source.buffer
        positions = (slots[at] for at in range(0, len(slots), 2) if slots[at + 1])
        return {
            (
                int.from_bytes(buffer[position : position + 8], "big"),
                int.from_bytes(buffer[position + 8 : position + 16], "big"),
            )
            for position in positions
            if position < self.found.pack_position
        }

    def _is_blob(self, position: int) -> bool:
        """Return whether a dropped record may be a blob's: if not, there is no file to remove."""
        record = self._pickles(position)
        if record.startswith(b".z"):
            try:
                record = zlib.decompressobj().decompress(record[2:], CLASS_NAME)
            except zlib.error:
                return True
        elif record.startswith(b"."):
            return True  # encrypted, or the like
        return is_blob(record)

    def _pickles(self, position: int) -> bytes:
        buffer = self.source.buffer
        while True:
            length = int.from_bytes(buffer[position + 34 : position + 42], "big")
            if length:
                return bytes(buffer[position + 42 : position + 42 + length])
            back = int.from_bytes(buffer[position + 42 : position + 50], "big")
            if not 0 < back < position:
                return b""
            position = back
