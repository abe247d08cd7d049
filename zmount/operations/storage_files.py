"""Where the data file and the blobs of a storage are, on this host."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zmount.effects.stage_files import current_files, is_swapped, stage_blobs
from zmount.errors import StorageUnreadable
from zmount.topology.references import data_files
from zmount.topology.storages import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageFiles:
    """The files of ``storage``; ``blob_dir`` is None where it has no blobs."""

    storage: Storage
    data_fs: Path
    blob_dir: Path | None


def files_of(storage: Storage) -> StorageFiles:
    """Return the files of STORAGE, which is on this host.

    Of a stage that shows production's content, those of what was changed since.

    :raises StorageUnreadable: it is no FileStorage, or made of several
    """
    if is_swapped(storage):
        *_, written = current_files(storage)
        return StorageFiles(storage=storage, data_fs=written, blob_dir=stage_blobs(storage)[-1])
    found = data_files(storage)
    if len(found) != 1:
        section = f"<{storage.backend.type}>" if storage.backend is not None else "storage"
        what = "has no Data.fs" if not found else f"has {len(found)} Data.fs"
        raise StorageUnreadable(f"{storage.name}: its {section} {what}; exactly one is needed")
    return StorageFiles(storage=storage, data_fs=Path(found[0]), blob_dir=_blob_dir(storage))


def _blob_dir(storage: Storage) -> Path | None:
    if storage.backend is None:
        return Path(storage.blob_dir) if storage.blob_dir is not None else None
    for section in storage.backend.walk():
        if (path := section.get("blob-dir")) is not None:
            return Path(storage.host.directory / str(path))
    return None
