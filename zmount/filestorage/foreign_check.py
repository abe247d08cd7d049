"""Are the objects of other databases there that a storage refers to?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from zmount.errors import StorageUnreadable
from zmount.filestorage.cores import chosen
from zmount.filestorage.file_check import FileCheck
from zmount.filestorage.format import oid_text
from zmount.filestorage.layered_holders import put_over
from zmount.filestorage.layers import Layers, must_be_base
from zmount.filestorage.objects import Table, scan
from zmount.filestorage.source import Source, committed_end, last_end, open_source
from zmount.sizes import counted

Other = Path | Layers
Reference = tuple[int, int, FileCheck]  # an oid, the position of a record, and whose


def check_foreign(
    checks: Sequence[FileCheck],
    others: Mapping[str, Other],
    progress: Callable[[str, int, int], None],
) -> Counter[str]:
    """Look for the objects of OTHERS that the records of CHECKS refer to.

    Return how many are of databases of which there is no file.
    """
    unchecked: Counter[str] = Counter()
    for name, references in _wanted(checks).items():
        if name not in others:
            unchecked[name] = len({oid for oid, _, _ in references})
            continue
        progress(f"references to {name}", 0, 0)
        try:
            table = table_of(others[name])
        except StorageUnreadable as why:
            *_, (_, _, last) = references
            number = counted(len(references), "reference")
            last.findings.warning("foreign", f"{number} to {name}: {why}")
            continue
        for oid, position, check in references:
            if is_missing(table, oid):
                reason = f"it refers to oid {oid_text(oid)} of database {name}, not there"
                holder = int.from_bytes(check.source.buffer[position : position + 8], "big")
                check.findings.error("foreign", reason, offset=position, oid=oid, holder=holder)
    return unchecked


def _wanted(checks: Sequence[FileCheck]) -> dict[str, list[Reference]]:
    """Return the references by the names of the databases."""
    wanted: dict[str, list[Reference]] = {}
    for check in checks:
        for (name, oid), position in sorted(check.records.foreign.items()):
            wanted.setdefault(name, []).append((oid, position, check))
    return wanted


def table_of(other: Other) -> Table:
    """Return the objects of the storage OTHER.

    :raises StorageUnreadable: it is none, or damaged
    """
    if isinstance(other, Path):
        with open_source(other) as source:
            return _scanned(source)
    with open_source(other.base, other.base_end) as base, open_source(other.changes) as changes:
        must_be_base(base, other)
        table = scan(base, base.end).table
        put_over(table, _scanned(changes), base.end)
        return table


def _scanned(source: Source) -> Table:
    end = last_end(source)
    return scan(source, committed_end(source) if end is None else end).table


def is_missing(table: Table, oid: int) -> bool:
    """Return whether TABLE has no record of OID, or one that undoes its creation."""
    word = table.word(oid)
    return not word or bool(word & chosen().mark.GONE)
