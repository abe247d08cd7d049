"""What lies in the attic of a root, read from records (see ``agent/attic.py``)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zmount.effects.raw_folders import entry
from zmount.effects.raw_reach import Lying, lying_below
from zmount.effects.raw_records import RawDatabase, Record, Reference
from zmount.effects.raw_roots import RawRoot

ATTIC = "/zmount_attic"
_SAID = ("original_path", "moved_at", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class AtticObject:
    """An object that was moved aside; ``slot`` is the name of its folder in the attic.

    ``path`` is where it was, ``since`` when it was moved (ISO 8601, UTC). ``class_name``
    is "" where its record is lost.
    """

    slot: str
    path: str
    since: str
    reason: str
    class_name: str
    size: Lying


def attic_objects(root: RawRoot, blob_dir: Path | None = None) -> tuple[AtticObject, ...] | None:
    """Return what lies in the attic of ROOT; None if that cannot be read.

    Blobs count if BLOB_DIR is the directory of the root's own storage.

    :raises StorageUnreadable: a record is damaged
    """
    spot = root.spot(ATTIC)
    if not spot.is_known:
        return None
    attic, database = spot.record, spot.database
    if attic is None or database is None or not attic.attributes.get("_zmount_is_attic"):
        return ()
    return tuple(
        _object(database, slot, folder, blob_dir)
        for slot in _names(attic)
        if (folder := database.referred(entry(database, attic, slot))) is not None
    )


def _object(database: RawDatabase, slot: str, folder: Record, blob_dir: Path | None) -> AtticObject:
    said = {key: str(folder.attributes.get(key, "")) for key in _SAID}
    record, size = None, Lying()
    for value in (entry(database, folder, name) for name in _names(folder)):
        record = database.referred(value)
        if isinstance(value, Reference):
            size = lying_below(database, value.oid, above=(folder.oid,), blob_dir=blob_dir)
    return AtticObject(
        slot=slot,
        path=said["original_path"],
        since=said["moved_at"],
        reason=said["reason"],
        class_name="" if record is None else record.class_name,
        size=size,
    )


def _names(folder: Record) -> Iterator[str]:
    objects = folder.attributes.get("_objects", ())
    for each in objects if isinstance(objects, tuple | list) else ():
        if isinstance(each, dict):
            yield str(each.get("id"))
