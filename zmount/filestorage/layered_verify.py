"""Is a storage sound that is in two data files?

As of one in one file (see ``verify``); each file is read for itself. An object is there
if the later file says so, or says nothing and the earlier one has it. So references
are looked up in both, from the records of both that are the last of their objects.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType

from zmount.errors import CorruptFile, StorageUnreadable
from zmount.filestorage.blob_check import BlobFiles, compare_blobs, list_blobs
from zmount.filestorage.file_check import FileCheck, Progress
from zmount.filestorage.foreign_check import Other, check_foreign
from zmount.filestorage.format import FIRST
from zmount.filestorage.layered_holders import LayeredHolders, put_over
from zmount.filestorage.layers import Layers, why_no_base
from zmount.filestorage.source import Source, open_source
from zmount.filestorage.verification import (
    Finding,
    Findings,
    Verification,
    counts_of,
    told_of,
)
from zmount.filestorage.verify import check_root, check_time, looked_at, with_ways


def verify_layers(
    layers: Layers,
    *,
    others: Mapping[str, Other] = MappingProxyType({}),
    progress: Progress = lambda phase, done, total: None,
) -> Verification:
    """Check the storage that LAYERS are; nothing is written.

    Where the two files do not belong together, that is the only finding.

    :param others: data files of the databases that it may refer to, by name
    :param progress: called with a phase, the bytes that are done and all of them
    :raises StorageUnreadable: one of the files is not there, or no permission
    """
    for path in (layers.base, layers.changes):
        try:
            path.open("rb").close()
        except OSError as why:
            raise StorageUnreadable(f"{path}: cannot be read: {why.strerror}") from None
    return looked_at(lambda: _LayeredCheck(layers, others, progress))


class _LayeredCheck:
    """One look at both files."""

    def __init__(self, layers: Layers, others: Mapping[str, Other], progress: Progress) -> None:
        self.findings = Findings()  # of neither file alone
        self.was_replaced = False
        self._layers = layers
        self._others = others
        self._progress = progress
        self._base = FileCheck(layers.base, self._named("base"))
        self._changes = FileCheck(layers.changes, self._named("changes"))
        self._told: list[Finding] = []
        self._objects = 0
        self._unchecked: Counter[str] = Counter()
        self._is_whole = False

    def _named(self, name: str) -> Progress:
        return lambda phase, done, total: self._progress(f"{name}: {phase}", done, total)

    def run(self) -> None:
        """Look at all of it."""
        layers = self._layers
        try:
            with open_source(layers.base, layers.base_end) as base:
                if why_not := why_no_base(base, layers):
                    raise CorruptFile(layers.base, layers.base_end, why_not)
                with open_source(layers.changes) as changes:
                    self._look(base, changes)
        except CorruptFile as why:
            self._refuse(why.reason, Path(why.path), why.offset)
        except StorageUnreadable as why:  # it is there: it is no FileStorage
            self._refuse(str(why), None, None)

    def _refuse(self, reason: str, file: Path | None, offset: int | None) -> None:
        """Let REASON be all that is told."""
        self.findings.error("files", reason, offset=offset)
        self._told = told_of({file: self.findings})

    def _look(self, base: Source, changes: Source) -> None:
        with ThreadPoolExecutor(1, "list blobs") as helper:
            listings = [self._listing(helper, each) for each in self._blob_dirs]
            self._base.read(base, base.end)
            self._changes.read(changes)
            self._is_whole = True
            self._check_order()
            there = self._base.structure.table
            put_over(there, self._changes.structure.table, base.end)
            self._objects = there.count
            check_root(there, self.findings)
            self._base.read_records()
            self._changes.read_records(there)
            checks = (self._base, self._changes)
            self._unchecked = check_foreign(checks, self._others, self._progress)
            for check, listing in zip(checks, listings, strict=True):
                self._check_blobs(check, listing)
        self.was_replaced = self._base.was_replaced or self._changes.was_replaced
        self._told = with_ways(
            told_of(self._by_file), lambda: LayeredHolders(base, changes, there), self._progress
        )

    @property
    def _blob_dirs(self) -> tuple[Path | None, Path | None]:
        return self._layers.base_blobs, self._layers.changes_blobs

    @property
    def _by_file(self) -> dict[Path | None, Findings]:
        return {
            None: self.findings,
            self._base.path: self._base.findings,
            self._changes.path: self._changes.findings,
        }

    def _listing(
        self, helper: ThreadPoolExecutor, directory: Path | None
    ) -> Future[BlobFiles] | None:
        return None if directory is None else helper.submit(list_blobs, directory)

    def _check_order(self) -> None:
        check_time(self._changes.structure.last_tid, self._changes.findings)
        if self._changes.structure.transactions:
            first = int.from_bytes(self._changes.source.buffer[FIRST : FIRST + 8], "big")
            if first <= self._layers.base_tid:
                reason = f"a transaction is not later than the last one of {self._base.path}"
                self._changes.findings.error("order", reason, offset=FIRST)

    def _check_blobs(self, check: FileCheck, listing: Future[BlobFiles] | None) -> None:
        if listing is None:
            return
        self._progress("blobs", 0, 0)
        files, is_base = listing.result(), check is self._base
        if not check.records.blobs and not files.directory.exists():
            return
        compare_blobs(
            files,
            check.records.blobs,
            check.structure.last_tid,
            check.findings,
            are_shared=is_base,
        )

    def result(self) -> Verification:
        """Return what was found."""
        layers, checks = self._layers, (self._base, self._changes)
        if not self._is_whole:
            return Verification(
                path=layers.changes,
                base=layers.base,
                findings=tuple(self._told),
                counts=self.findings.all_counts(),
            )
        more = [each for each in self.findings.told() if each.kind == "packed"]
        return Verification(
            path=layers.changes,
            base=layers.base,
            end=sum(check.structure.end for check in checks),
            transactions=sum(check.structure.transactions for check in checks),
            records=sum(check.structure.records for check in checks),
            objects=self._objects,
            blobs=sum(len(check.records.blobs) for check in checks)
            if any(self._blob_dirs)
            else None,
            odd_records=sum(check.records.odd for check in checks),
            unchecked=tuple(sorted(self._unchecked.items())),
            findings=(*self._told, *more),
            counts=counts_of(self._by_file.values()),
        )
