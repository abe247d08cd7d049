"""Which objects mount points show of a storage, read from its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from zmount.effects.raw_records import RawDatabase
from zmount.effects.raw_roots import object_at
from zmount.effects.raw_storages import open_files
from zmount.topology.mounts import MountPoint
from zmount.topology.storages import Storage


def mounted_oids(storage: Storage, points: Iterable[MountPoint]) -> Mapping[str, bytes | None]:
    """Return, by mount point, the oid of what each of POINTS shows of STORAGE now.

    None where STORAGE holds nothing there.

    :raises StorageUnreadable: it cannot be read, or is damaged
    """
    database = RawDatabase(open_files(storage), storage.name)
    try:
        found = {str(point): object_at(database, point) for point in points}
        return {path: None if record is None else record.oid for path, record in found.items()}
    finally:
        database.close()
