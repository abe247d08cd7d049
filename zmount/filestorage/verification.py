"""What a check of a FileStorage finds, and how it is kept while it is found."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from zmount.filestorage.format import oid_text

MOST_TOLD = 1000  # findings of a kind; the others are counted only
MOST_KEPT = 10 * MOST_TOLD  # while several threads find them, in no order

Severity = Literal["error", "warning"]
# in the order in which they are told
Kind = Literal[
    "structure",  # transactions and records are not where lengths and pointers say
    "tail",  # the end of the file is no complete transaction
    "order",  # a transaction is not later than the one before, or is from the future
    "record",  # the pickles of a record cannot be read
    "history",  # the previous record of an object is not where the record says
    "back pointer",  # the data of a record is not where the record says
    "root",  # there is no root object
    "dangling",  # a reference to an object that is nowhere
    "foreign",  # a reference to an object of another database that is not there
    "blob",  # the file of a blob
    "index",  # the saved index
    "files",  # two data files of one storage do not belong together
    "packed",  # the file was replaced meanwhile
]


KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong (an error), or doubtful (a warning).

    ``offset`` is the byte in the file where that begins, None if it is not in
    there. ``oid`` is the object that is concerned, ``holder`` the one that
    refers to it, if that is what is wrong. ``path`` says where ``holder``, or
    else ``oid``, hangs: as Zope's paths do, or "" if nothing leads to it.
    ``class_name`` is the class of the same object. ``file`` is the data file, if the
    storage has several.
    """

    severity: Severity
    kind: Kind
    reason: str
    offset: int | None = None
    oid: int | None = None
    holder: int | None = None
    path: str = ""
    class_name: str = ""
    file: Path | None = None

    @property
    def where(self) -> str:
        """The object that a person should look at: its path or oid, and its class."""
        oid = self.oid if self.holder is None else self.holder
        if oid is None:
            return ""
        is_of = f", {self.class_name}" if self.class_name else ""
        return f"{self.path} (oid {oid_text(oid)}{is_of})" if self.path else oid_text(oid) + is_of

    def __str__(self) -> str:
        where = f"{self.where}: " if self.where else ""
        of = f" of {self.file}" if self.file is not None else ""
        at = f" [byte {self.offset}{of}]" if self.offset is not None else ""
        return f"{where}{self.reason}{at}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What the data file ``path`` holds up to ``end``, and what is wrong with it.

    ``findings`` come by severity, kind and offset, MOST_TOLD of a kind at most;
    ``counts`` has how many there are of each severity and kind. ``blobs`` are records;
    None: nobody said where their files are. ``unchecked`` are the names of other
    databases that it refers to, and of which no file was given, with the number
    of objects. ``odd_records`` are those that only ZODB itself could read. ``base`` is
    the data file of the earlier transactions, where ``path`` has only the later ones;
    ``end`` and all else is of both then.
    """

    path: Path
    end: int = 0
    transactions: int = 0
    records: int = 0
    objects: int = 0
    blobs: int | None = None
    odd_records: int = 0
    unchecked: tuple[tuple[str, int], ...] = ()
    findings: tuple[Finding, ...] = ()
    counts: tuple[tuple[Severity, Kind, int], ...] = ()
    seconds: float = 0.0
    base: Path | None = None

    def count(self, severity: Severity) -> int:
        """Return how many findings of this SEVERITY there are, told or not."""
        return sum(number for each, _, number in self.counts if each == severity)

    @property
    def is_sound(self) -> bool:
        """Whether there is no error; there may be warnings."""
        return not self.count("error")


@dataclass(slots=True)
class Findings:
    """Collects findings from several threads."""

    kept: dict[Kind, list[Finding]] = field(default_factory=dict)
    counts: Counter[tuple[Severity, Kind]] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, finding: Finding) -> None:
        """Take in FINDING."""
        with self._lock:
            self.counts[finding.severity, finding.kind] += 1
            kept = self.kept.setdefault(finding.kind, [])
            if len(kept) < MOST_KEPT:
                kept.append(finding)

    def error(
        self,
        kind: Kind,
        reason: str,
        *,
        offset: int | None = None,
        oid: int | None = None,
        holder: int | None = None,
    ) -> None:
        """Take in an error."""
        self.add(
            Finding(
                severity="error", kind=kind, reason=reason, offset=offset, oid=oid, holder=holder
            )
        )

    def warning(
        self, kind: Kind, reason: str, *, offset: int | None = None, oid: int | None = None
    ) -> None:
        """Take in a warning."""
        self.add(Finding(severity="warning", kind=kind, reason=reason, offset=offset, oid=oid))

    def is_full(self, kind: Kind) -> bool:
        """Whether further findings of this KIND need no details: they are only counted."""
        return len(self.kept.get(kind, ())) >= MOST_KEPT

    def count_more(self, severity: Severity, kind: Kind, number: int) -> None:
        """Count NUMBER findings of which nothing is told."""
        with self._lock:
            self.counts[severity, kind] += number

    def has(self, *kinds: Kind) -> bool:
        """Whether there is an error of one of these KINDS."""
        return any(self.counts["error", kind] for kind in kinds)

    def told(self) -> list[Finding]:
        """Return the findings to tell, in their order."""
        found: list[Finding] = []
        for kind in sorted(self.kept, key=KINDS.index):
            found += sorted(self.kept[kind], key=_order)[:MOST_TOLD]
        return sorted(found, key=lambda each: each.severity)

    def all_counts(self) -> tuple[tuple[Severity, Kind, int], ...]:
        """Return how many there are of each severity and kind."""
        return _in_order(self.counts)


def told_of(parts: Mapping[Path | None, Findings]) -> list[Finding]:
    """Return the findings to tell of several files, in their order."""
    found = [
        replace(each, file=file) for file, findings in parts.items() for each in findings.told()
    ]
    return sorted(found, key=lambda each: (each.severity, KINDS.index(each.kind)))


def counts_of(parts: Iterable[Findings]) -> tuple[tuple[Severity, Kind, int], ...]:
    """Return how many findings of several files there are of each severity and kind."""
    total: Counter[tuple[Severity, Kind]] = Counter()
    for findings in parts:
        total.update(findings.counts)
    return _in_order(total)


def _in_order(
    counts: Counter[tuple[Severity, Kind]],
) -> tuple[tuple[Severity, Kind, int], ...]:
    found = sorted(counts, key=lambda key: (key[0], KINDS.index(key[1])))
    return tuple((*key, counts[key]) for key in found if counts[key])


def _order(finding: Finding) -> tuple[int, int, int, str]:
    missing = -1  # sorts before all that is somewhere
    offset = missing if finding.offset is None else finding.offset
    oid = missing if finding.oid is None else finding.oid
    return (finding.severity != "error", offset, oid, finding.reason)


def with_path(finding: Finding, path: str, class_name: str) -> Finding:
    """Return FINDING with where its object is."""
    return replace(finding, path=path, class_name=class_name)
