"""How much an object and all that it refers to take of their storage."""

from __future__ import annotations

from dataclasses import dataclass

from zmount.effects.raw_records import RawDatabase
from zmount.errors import StorageUnreadable
from zmount.filestorage.format import DATA_HEADER
from zmount.filestorage.pickles import REFUSED, safe_referencesf


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """An object and what is below it: their number, and the bytes of their current records.

    Blobs are not counted; ``lost`` objects are referred to and are not there.
    """

    objects: int = 0
    size_bytes: int = 0
    lost: int = 0


def below(database: RawDatabase, oid: bytes, *, but: frozenset[bytes] = frozenset()) -> Below:
    """Return what lies at and below OID in DATABASE, BUT not these and what is below them.

    :raises StorageUnreadable: a record's references cannot be read
    """
    seen, todo = {oid}, [oid]
    size_bytes = lost = 0
    while todo:
        here = todo.pop()
        pickles = database.pickles(here)
        if pickles is None:
            lost += 1
            continue
        size_bytes += DATA_HEADER + len(pickles)
        try:
            referred = safe_referencesf(pickles)
        except REFUSED as why:
            raise StorageUnreadable(
                f"object 0x{here.hex()}: what it refers to cannot be read: {why}"
            ) from None
        for each in referred:
            if each not in seen and each not in but:
                seen.add(each)
                todo.append(each)
    return Below(objects=len(seen) - lost, size_bytes=size_bytes, lost=lost)
