"""Does staging show what production held at a moment?"""

from __future__ import annotations

from pathlib import Path

from ZODB.POSException import POSKeyError, ReadConflictError
from ZODB.utils import p64, u64, z64

from zmount.effects.raw_records import RawStorage
from zmount.errors import SwapFailed
from zmount.filestorage.source import open_source, start_before
from zmount.filestorage.transactions import oids_of, transactions

MOST_COMPARED = 200  # objects
_NOW = p64(2**63 - 1)


def must_show(
    staging: RawStorage, production: RawStorage, base: Path, base_end: int, changed_after: bytes
) -> int:
    """Compare what the last transaction in BASE, which ends at BASE_END, wrote; return how many.

    And the root. What was changed on STAGING after CHANGED_AFTER may differ.

    :raises SwapFailed: an object is not in STAGING as it is in PRODUCTION at that moment
    """
    tid, oids = _last(base, base_end)
    compared = 0
    for oid in (z64, *sorted(oids - {z64})[:MOST_COMPARED]):
        expected = _loaded(production, oid, p64(u64(tid) + 1))
        found = _loaded(staging, oid, _NOW)
        if expected is None or (found is not None and found[1] > changed_after):
            continue  # production was packed, or staging was changed since
        if found is None or found[:2] != expected[:2]:
            raise SwapFailed(
                f"object 0x{oid.hex()} is not on staging as production had it",
                hint="zmount swap-stage --undo, and tell zmount's authors",
            )
        compared += 1
    return compared


def _last(base: Path, base_end: int) -> tuple[bytes, frozenset[bytes]]:
    with open_source(base, base_end) as source:
        start = start_before(source, base_end)
        assert start is not None  # a generation's base was checked when it was made
        (last,) = transactions(source, start, base_end)
        return last.tid, oids_of(source, last)


def _loaded(storage: RawStorage, oid: bytes, before: bytes) -> tuple[bytes, bytes] | None:
    try:
        found = storage.loadBefore(oid, before)
    except (POSKeyError, ReadConflictError):
        return None
    return None if found is None else found[:2]
