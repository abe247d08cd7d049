"""The two files that a stage's content is in after a swap, as a check or a copy takes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ZODB.POSException import StorageError

from zmount.effects.stage_files import generations_of
from zmount.errors import StorageUnreadable
from zmount.filestorage.layers import Layers
from zmount.server.generations import Generations
from zmount.topology.storages import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenStage:
    """What a stage shows cannot be known: ``path`` is not what a swap put there."""

    path: Path
    reason: str


def layers_of(storage: Storage) -> Layers | BrokenStage | None:
    """Return the files of what STORAGE shows now; None: it is a FileStorage, or the plain file.

    :raises StorageUnreadable: that may not be seen
    """
    if storage.stage is None:
        return None
    generations = generations_of(storage)
    try:
        return _layers(storage, generations)
    except StorageError as why:
        path, colon, reason = str(why).partition(": ")
        if not colon:
            path, reason = str(generations.path), str(why)
        return BrokenStage(path=Path(path), reason=reason)
    except PermissionError as why:
        raise StorageUnreadable(
            f"storage {storage.name}: {why.filename or generations.path} cannot be read: "
            f"{why.strerror}",
            hint="run zmount as a user that may read it",
        ) from None


def _layers(storage: Storage, generations: Generations) -> Layers | BrokenStage | None:
    one = generations.current
    if one is None:
        return None
    try:
        meta = one.meta
        base_tid, base_end = int(meta.base_tid, 16), int(meta.base_end)
        missing = [path for path in (one.base, one.changes) if not path.exists()]
    except PermissionError:
        raise
    except (OSError, ValueError, TypeError) as why:
        said = why.strerror if isinstance(why, OSError) else why
        return BrokenStage(path=one.path / "meta.json", reason=f"it cannot be read: {said}")
    if missing:
        return BrokenStage(path=missing[0], reason="it is not there")
    copied = one.path / "base-blobs"
    has_blobs = storage.blob_dir is not None
    return Layers(
        base=one.base,
        base_end=base_end,
        base_tid=base_tid,
        changes=one.changes,
        base_blobs=(copied if copied.exists() else generations.blobs) if has_blobs else None,
        changes_blobs=one.changes_blobs if has_blobs else None,
    )
