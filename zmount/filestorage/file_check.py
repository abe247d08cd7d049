"""One look at one data file: what its bytes are made of, its index, its records."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from ZODB.utils import p64

from zmount.errors import CorruptFile, StorageUnreadable
from zmount.filestorage.cores import chosen
from zmount.filestorage.format import FIRST, TRANSACTION_HEADER, VOTED, oid_text
from zmount.filestorage.index import SavedIndex, read_index, sorted_pairs
from zmount.filestorage.objects import Table
from zmount.filestorage.record_check import Records, check_records
from zmount.filestorage.reindex import index_path
from zmount.filestorage.source import Source, committed_end, last_end, read_at, start_before
from zmount.filestorage.structure import Structure
from zmount.filestorage.verification import Findings

Progress = Callable[[str, int, int], None]


class FileCheck:
    """A look at the data file PATH, in two steps; ``findings`` are what is wrong."""

    def __init__(self, path: Path, progress: Progress) -> None:
        self.path = path
        self.findings = Findings()
        self.structure: Structure
        self.records = Records()
        self._progress = progress
        self._inode = _inode(path)
        self._index = self._read_index()  # before the end is known: what it tells of is there

    @property
    def source(self) -> Source:
        """The file that is looked at."""
        return self.structure.source

    @property
    def was_replaced(self) -> bool:
        """True if a pack has put another file in its place since this look began."""
        return not self._inode == self.source.inode == _inode(self.path)

    def read(self, source: Source, end: int | None = None) -> None:
        """Read the open file up to END in its order; compare the index on the way.

        :param end: None: where its last complete transaction ends
        """
        end = self._end(source) if end is None else end
        self.structure = Structure(source, end, self.findings, self._phase("structure", end))
        self._check_index()
        self.structure.finish()

    def read_records(self, there: Table | None = None) -> None:
        """Read all records; references are looked up in THERE, or in the file itself."""
        self.records = check_records(
            self.structure,
            self.findings,
            there=there,
            progress=self._phase("records", self.structure.end),
        )

    def _phase(self, name: str, total: int) -> Callable[[int], None]:
        return lambda done: self._progress(name, done, total)

    # the end of the file

    def _end(self, source: Source) -> int:
        """Return up to where the file is to be read; tell of what is torn after that."""
        end = last_end(source)
        if end is None:
            start = self._index.position if self._index is not None else FIRST
            if start > source.end or start_before(source, start) is None:
                start = FIRST
            try:
                end = committed_end(source, start)
            except CorruptFile:
                return source.end
        rest = source.end - end
        if not rest or _has_grown(source):
            return end
        if rest < TRANSACTION_HEADER:
            self.findings.warning("tail", f"its last {rest} bytes are no transaction", offset=end)
            return end
        head = read_at(source, end, TRANSACTION_HEADER)
        if head[16] == VOTED and int.from_bytes(head[8:16], "big") + 8 >= rest:
            return end  # a server votes on it, or did so when it died: nobody was told it is there
        return source.end

    # the index

    def _read_index(self) -> SavedIndex | None:
        try:
            return read_index(index_path(self.path))
        except StorageUnreadable as why:
            self.findings.error("index", str(why))
            return None

    def _check_index(self) -> None:
        """Read the file up to where the index ends, and compare."""
        structure, index = self.structure, self._index
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


def _has_grown(source: Source) -> bool:
    """Return whether a server has it open and writes: then the end is being written."""
    assert source.descriptor is not None  # open_source opened it
    return os.fstat(source.descriptor).st_size != source.end


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
