"""What other databases refer to: roots of a pack that its own file does not know.

Databases that are mounted together can hold references to one another's objects
(ZODB's multi-databases: ``["m", (database, oid, class)]`` and ``["n", (database,
oid)]``). An object that only such a reference leads to would be garbage for a
pack. ``Data.fs.referrers`` says where to look (see ``referrers.py``).

Each referrer is read once; ``PATH.references`` remembers what was found in it
and up to where, as long as it is the same file.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path

from zmount.errors import PackRefused, StorageUnreadable
from zmount.filestorage.cores import chosen
from zmount.filestorage.format import FIRST, new_cursor
from zmount.filestorage.pack_files import read_json, write_json
from zmount.filestorage.references import References
from zmount.filestorage.referrers import read_referrers
from zmount.filestorage.source import Source, batches, committed_end, last_tid, open_source

Progress = Callable[[str, int, int], None]
Found = dict[tuple[str, int], int]  # database's name and oid: position of a record that refers

HINT = "zmount pack --no-gc packs the history only"


def foreign_oids(data_fs: Path, progress: Progress, *, remember: bool = True) -> tuple[int, ...]:
    """Return the oids in DATA_FS that other databases refer to.

    :param remember: write down what was found, so that it need not be read again
    :raises PackRefused: one of those that may cannot be read, so nobody knows
    """
    referrers = read_referrers(data_fs)
    for unreadable in referrers.unreadable:
        raise PackRefused(
            f"no garbage collection: {unreadable}; it may refer to objects here", hint=HINT
        )
    found: set[int] = set()
    for path, names in referrers.files.items():
        here = references_in(path, progress, remember=remember)
        found.update(oid for name, oid in here if name in names)
    return tuple(sorted(found))


def references_in(
    path: Path, progress: Progress, *, remember: bool = True
) -> frozenset[tuple[str, int]]:
    """Return the references to other databases in the data file PATH: names and oids.

    What a pack of PATH dropped since may still be among them.

    :raises PackRefused: it cannot be read
    """
    remembered = path.with_name(path.name + ".references")
    try:
        with open_source(path) as source:
            start, found = _remembered(remembered, source)
            end = committed_end(source, start)
            if end > start:
                _look(source, start, end, found, progress)
                if remember:
                    _remember(remembered, source, end, found)
    except StorageUnreadable as why:
        raise PackRefused(
            f"no garbage collection: {why}; it may refer to objects here", hint=HINT
        ) from None
    return frozenset(found)


def _look(source: Source, start: int, end: int, found: Found, progress: Progress) -> None:
    core = chosen().records
    references = References(source, foreign=found)
    cursor = new_cursor(start)
    for batch, count in batches(source, cursor, end):
        places: array[int] = batch[core.PLACE : count * core.RECORD_FIELDS : core.RECORD_FIELDS]
        for _ in references.of(places, count):
            pass
        progress("references", cursor[core.POSITION], end)


def _remembered(path: Path, source: Source) -> tuple[int, Found]:
    """Return up to where SOURCE was read before, and what was found; or a new beginning."""
    kept = read_json(path)
    position = kept.get("position", FIRST)
    if kept.get("inode") != source.inode or not FIRST < position <= source.end:
        return FIRST, {}
    try:
        if last_tid(source, position) != int(kept["tid"], 16):
            return FIRST, {}  # truncated and grown again
        return position, {(name, int(oid, 16)): at for name, oid, at in kept["found"]}
    except (KeyError, TypeError, ValueError, StorageUnreadable):
        return FIRST, {}


def _remember(path: Path, source: Source, end: int, found: Found) -> None:
    write_json(
        path,
        {
            "inode": source.inode,
            "position": end,
            "tid": f"{last_tid(source, end):#x}",
            "found": [[name, f"{oid:#x}", at] for (name, oid), at in sorted(found.items())],
        },
    )
