"""Is a FileStorage sound, with its index, its blobs and what it refers to?

1. Read the file in its order, past what is damaged: does each length, position
   and pointer say what is there? Where the saved index ends, compare it.
2. Read each record: can its pickles be read, and are the objects there that the
   current ones refer to? List the blobs' files meanwhile.
3. Look for what it refers to in other databases, and for the blobs' files.
4. Say where the objects hang that something is wrong with.

The storage may be in use. A pack meanwhile makes it begin again, once.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from ZODB.TimeStamp import TimeStamp
from ZODB.utils import p64

from zmount.errors import CorruptFile, StorageUnreadable
from zmount.filestorage.blob_check import compare_blobs, list_blobs
from zmount.filestorage.cores import chosen
from zmount.filestorage.format import FIRST, TRANSACTION_HEADER, VOTED, oid_text
from zmount.filestorage.holders import Holders
from zmount.filestorage.index import SavedIndex, read_index, sorted_pairs
from zmount.filestorage.objects import Table, scan
from zmount.filestorage.record_check import Records, check_records
from zmount.filestorage.reindex import index_path
from zmount.filestorage.source import (
    Source,
    committed_end,
    last_end,
    open_source,
    read_at,
    start_before,
)
from zmount.filestorage.structure import Structure
from zmount.filestorage.verification import (
    Finding,
    Findings,
    Verification,
    with_path,
)

MOST_WAYS = 200  # objects of which the way from the root is looked for
FUTURE_S = 3600  # a tid may be ahead of the clock by so much
ROOT = 0

Progress = Callable[[str, int, int], None]


def verify(
    path: str | os.PathLike[str],
    *,
    blob_dir: str | os.PathLike[str] | None = None,
    others: Mapping[str, Path] = MappingProxyType({}),
    progress: Progress = lambda phase, done, total: None,
) -> Verification:
    """Check the data file PATH; nothing is written.

    :param blob_dir: where its blobs are; None: they are not looked for
    :param others: data files of the databases that it may refer to, by name
    :param progress: called with a phase, the bytes that are done and all of them
    :raises StorageUnreadable: it is no FileStorage, or no permission
    """
    watch = time.perf_counter()
    blobs = None if blob_dir is None else Path(blob_dir)
    for is_last in (False, True):
        check = _Check(Path(path), blobs, others, progress)
        check.run()
        if not check.was_replaced:
            break
        if is_last:
            check.findings.warning("packed", "it was packed twice meanwhile: this is of before")
    return replace(check.result(), seconds=time.perf_counter() - watch)


class _Check:
    """One look at the file."""

    def __init__(
        self, path: Path, blob_dir: Path | None, others: Mapping[str, Path], progress: Progress
    ) -> None:
        self.path = path
        self.findings = Findings()
        self.was_replaced = False
        self._blob_dir = blob_dir
        self._others = others
        self._progress = progress
        self._told: list[Finding] = []
        self._records = Records()
        self._unchecked: Counter[str] = Counter()
        self._structure: Structure

    def run(self) -> None:
        """Look at all of it."""
        inode = _inode(self.path)
        index = self._read_index()  # before the file's end is known: what it tells of is there
        with open_source(self.path) as source, ThreadPoolExecutor(1, "list blobs") as helper:
            end = self._end(source, index)
            structure = Structure(source, end, self.findings, self._phase("structure", end))
            self._structure = structure
            listing = helper.submit(list_blobs, self._blob_dir) if self._blob_dir else None
            self._check_index(index)
            structure.finish()
            self._check_times()
            self._records = check_records(
                structure, self.findings, progress=self._phase("records", end)
            )
            self._check_foreign()
            if listing is not None:
                self._progress("blobs", 0, 0)
                compare_blobs(
                    listing.result(), self._records.blobs, structure.last_tid, self.findings
                )
            self.was_replaced = not inode == source.inode == _inode(self.path)
            self._told = self._with_paths()

    def result(self) -> Verification:
        """Return what was found."""
        structure = self._structure
        more = [each for each in self.findings.told() if each.kind == "packed"]
        return Verification(
            path=self.path,
            end=structure.end,
            transactions=structure.transactions,
            records=structure.records,
            objects=structure.table.count,
            blobs=len(self._records.blobs) if self._blob_dir else None,
            odd_records=self._records.odd,
            unchecked=tuple(sorted(self._unchecked.items())),
            findings=(*self._told, *more),
            counts=self.findings.all_counts(),
        )

    def _phase(self, name: str, total: int) -> Callable[[int], None]:
        return lambda done: self._progress(name, done, total)

    # the end of the file

    def _end(self, source: Source, index: SavedIndex | None) -> int:
        """Return up to where the file is to be read; tell of what is torn after that."""
        end = last_end(source)
        if end is None:
            start = index.position if index is not None else FIRST
            if start > source.end or start_before(source, start) is None:
                start = FIRST
            try:
                end = committed_end(source, start)
            except CorruptFile:
                return source.end
        rest = source.end - end
        if not rest or self._has_grown(source):
            return end
        if rest < TRANSACTION_HEADER:
            self.findings.warning("tail", f"its last {rest} bytes are no transaction", offset=end)
            return end
        head = read_at(source, end, TRANSACTION_HEADER)
        if head[16] == VOTED and int.from_bytes(head[8:16], "big") + 8 >= rest:
            return end  # a server votes on it, or did so when it died: nobody was told it is there
        return source.end

    def _has_grown(self, source: Source) -> bool:
        """Return whether a server has it open and writes: then the end is being written."""
        assert source.descriptor is not None  # open_source opened it
        return os.fstat(source.descriptor).st_size != source.end

    # the index

    def _read_index(self) -> SavedIndex | None:
        try:
            return read_index(index_path(self.path))
        except StorageUnreadable as why:
            self.findings.error("index", str(why))
            return None

    def _check_index(self, index: SavedIndex | None) -> None:
        """Read the file up to where INDEX ends, and compare."""
        structure = self._structure
        if index is None:
            return
        where = f"{index_path(self.path)} ends at byte {index.position}"
        if index.position > structure.end:
            self.findings.error("index", f"{where}, the file at {structure.end}")
            return
        structure.read(index.position)
        if structure.gaps or self.findings.has("order"):
            return  # a wrong index is the least of its troubles
        if structure.position != max(index.position, FIRST):
            self.findings.error("index", f"{where}, where no transaction ends")
        elif difference := index_difference(index, structure.table):
            self.findings.error("index", f"{index_path(self.path)}: {difference}")

    # the rest

    def _check_times(self) -> None:
        structure = self._structure
        table, gone = structure.table, chosen().mark.GONE
        root = table.word(ROOT)
        if table.count and (not root or root & gone):
            self.findings.error("root", "there is no root object (oid 0x0)", oid=ROOT)
        try:
            newest = TimeStamp(structure.last_tid.to_bytes(8, "big"))
        except ValueError:
            self.findings.error("order", "the tid of a transaction is no time")
            return
        if structure.last_tid and newest.timeTime() > time.time() + FUTURE_S:
            reason = f"its newest transaction is of {newest} UTC, which is in the future"
            self.findings.warning("order", reason)

    def _check_foreign(self) -> None:
        """Look for the objects of other databases that this one refers to."""
        wanted: dict[str, list[tuple[int, int]]] = {}
        for (name, oid), position in sorted(self._records.foreign.items()):
            wanted.setdefault(name, []).append((oid, position))
        for name, references in wanted.items():
            if name not in self._others:
                self._unchecked[name] = len(references)
                continue
            self._progress(f"references to {name}", 0, 0)
            try:
                table = table_of(self._others[name])
            except StorageUnreadable as why:
                self.findings.warning("foreign", f"{len(references)} references to {name}: {why}")
                continue
            for oid, position in references:
                if is_missing(table, oid):
                    reason = f"it refers to oid {oid_text(oid)} of database {name}, not there"
                    self.findings.error(
                        "foreign",
                        reason,
                        offset=position,
                        oid=oid,
                        holder=self._oid_at(position),
                    )

    def _oid_at(self, position: int) -> int:
        return int.from_bytes(self._structure.source.buffer[position : position + 8], "big")

    def _with_paths(self) -> list[Finding]:
        """Return the findings to tell, with the ways to the objects."""
        told = self.findings.told()
        oids = [each.oid if each.holder is None else each.holder for each in told]
        if all(oid is None for oid in oids):
            return told
        self._progress("paths", 0, 0)
        holders = Holders(self._structure.source, self._structure.table)
        ways: dict[int, tuple[str, str]] = {}
        found = []
        for finding, oid in zip(told, oids, strict=True):
            if oid is not None and oid not in ways and len(ways) < MOST_WAYS:
                ways[oid] = holders.where(oid)
            found.append(with_path(finding, *ways.get(-1 if oid is None else oid, ("", ""))))
        return found


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0


def index_difference(index: SavedIndex, table: Table) -> str:
    """Return in what INDEX differs from TABLE, which has all up to its position; "": nothing."""
    core = chosen().check
    for prefix, content in index.buckets.items():
        number = core.differing(table.slots, int.from_bytes(prefix, "big"), content)
        if number < len(content) // 8:
            key = content[2 * number : 2 * number + 2]
            oid = int.from_bytes(prefix + key, "big")
            here, said = table.word(oid) >> core.SHIFT, index.position_of(oid)
            if here == said:
                return f"its entries after oid {oid_text(oid)} are not in order"
            is_at = f"is at byte {here}" if here else "is nowhere"
            return f"the last record of oid {oid_text(oid)} {is_at}; it says byte {said}"
    if len(index) == table.count:
        return ""
    known = index.as_fsindex()
    pairs = sorted_pairs(table)
    oid, place = next(
        (pairs[at], pairs[at + 1]) for at in range(0, len(pairs), 2) if p64(pairs[at]) not in known
    )
    return f"it does not know oid {oid_text(oid)}, whose last record is at byte {place}"


def table_of(path: Path) -> Table:
    """Return the objects of the data file PATH.

    :raises StorageUnreadable: it is none, or damaged
    """
    with open_source(path) as source:
        end = last_end(source)
        return scan(source, committed_end(source) if end is None else end).table


def is_missing(table: Table, oid: int) -> bool:
    """Return whether TABLE has no record of OID, or one that undoes its creation."""
    word = table.word(oid)
    return not word or bool(word & chosen().mark.GONE)
