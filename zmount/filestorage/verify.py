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
from typing import Protocol

from ZODB.TimeStamp import TimeStamp

from zmount.filestorage.blob_check import compare_blobs, list_blobs
from zmount.filestorage.cores import chosen
from zmount.filestorage.file_check import FileCheck, Progress
from zmount.filestorage.foreign_check import Other, check_foreign
from zmount.filestorage.holders import Holders
from zmount.filestorage.objects import Table
from zmount.filestorage.source import open_source
from zmount.filestorage.verification import Finding, Findings, Verification, with_path

MOST_WAYS = 200  # objects of which the way from the root is looked for
FUTURE_S = 3600  # a tid may be ahead of the clock by so much
ROOT = 0


def verify(
    path: str | os.PathLike[str],
    *,
    blob_dir: str | os.PathLike[str] | None = None,
    others: Mapping[str, Other] = MappingProxyType({}),
    progress: Progress = lambda phase, done, total: None,
) -> Verification:
    """Check the data file PATH; nothing is written.

    :param blob_dir: where its blobs are; None: they are not looked for
    :param others: data files of the databases that it may refer to, by name
    :param progress: called with a phase, the bytes that are done and all of them
    :raises StorageUnreadable: it is no FileStorage, or no permission
    """
    blobs = None if blob_dir is None else Path(blob_dir)
    return looked_at(lambda: _Check(Path(path), blobs, others, progress))


class Check(Protocol):
    """One look at a storage."""

    findings: Findings
    was_replaced: bool

    def run(self) -> None:
        """Look at all of it."""

    def result(self) -> Verification:
        """Return what was found."""


def looked_at(make: Callable[[], Check]) -> Verification:
    """Return what a look that MAKE makes finds; of a second one, if a pack came in between.

    :raises StorageUnreadable: as the look does
    """
    watch = time.perf_counter()
    for is_last in (False, True):
        check = make()
        check.run()
        if not check.was_replaced:
            break
        if is_last:
            check.findings.warning("packed", "it was packed twice meanwhile: this is of before")
    return replace(check.result(), seconds=time.perf_counter() - watch)


class _Check:
    """One look at the file."""

    def __init__(
        self, path: Path, blob_dir: Path | None, others: Mapping[str, Other], progress: Progress
    ) -> None:
        self.was_replaced = False
        self._file = FileCheck(path, progress)
        self.findings = self._file.findings
        self._blob_dir = blob_dir
        self._others = others
        self._progress = progress
        self._told: list[Finding] = []
        self._unchecked: Counter[str] = Counter()

    def run(self) -> None:
        """Look at all of it."""
        file = self._file
        with open_source(file.path) as source, ThreadPoolExecutor(1, "list blobs") as helper:
            listing = helper.submit(list_blobs, self._blob_dir) if self._blob_dir else None
            file.read(source)
            structure = file.structure
            check_root(structure.table, self.findings)
            check_time(structure.last_tid, self.findings)
            file.read_records()
            self._unchecked = check_foreign((file,), self._others, self._progress)
            if listing is not None:
                self._progress("blobs", 0, 0)
                compare_blobs(
                    listing.result(), file.records.blobs, structure.last_tid, self.findings
                )
            self.was_replaced = file.was_replaced
            self._told = with_ways(
                self.findings.told(), lambda: Holders(source, structure.table), self._progress
            )

    def result(self) -> Verification:
        """Return what was found."""
        file = self._file
        more = [each for each in self.findings.told() if each.kind == "packed"]
        return Verification(
            path=file.path,
            end=file.structure.end,
            transactions=file.structure.transactions,
            records=file.structure.records,
            objects=file.structure.table.count,
            blobs=len(file.records.blobs) if self._blob_dir else None,
            odd_records=file.records.odd,
            unchecked=tuple(sorted(self._unchecked.items())),
            findings=(*self._told, *more),
            counts=self.findings.all_counts(),
        )


def check_root(table: Table, findings: Findings) -> None:
    """Tell if TABLE has objects, but not the root."""
    root = table.word(ROOT)
    if table.count and (not root or root & chosen().mark.GONE):
        findings.error("root", "there is no root object (oid 0x0)", oid=ROOT)


def check_time(last_tid: int, findings: Findings) -> None:
    """Tell if the last transaction of a file, LAST_TID, is from the future."""
    try:
        newest = TimeStamp(last_tid.to_bytes(8, "big"))
    except ValueError:
        findings.error("order", "the tid of a transaction is no time")
        return
    if last_tid and newest.timeTime() > time.time() + FUTURE_S:
        reason = f"its newest transaction is of {newest} UTC, which is in the future"
        findings.warning("order", reason)


def with_ways(
    told: list[Finding], make: Callable[[], Holders], progress: Progress
) -> list[Finding]:
    """Return the findings TOLD with the ways to their objects; MAKE makes what knows these."""
    oids = [each.oid if each.holder is None else each.holder for each in told]
    if all(oid is None for oid in oids):
        return told
    progress("paths", 0, 0)
    holders = make()
    ways: dict[int, tuple[str, str]] = {}
    found = []
    for finding, oid in zip(told, oids, strict=True):
        if oid is not None and oid not in ways and len(ways) < MOST_WAYS:
            ways[oid] = holders.where(oid)
        found.append(with_path(finding, *ways.get(-1 if oid is None else oid, ("", ""))))
    return found
