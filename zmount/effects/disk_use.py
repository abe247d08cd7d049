"""How large a storage's files are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from zmount.effects.local_files import is_directory

MOST_BLOBS = 20_000  # more would take too long to count on a cold disk


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskUse:
    """The size of a Data.fs and of its blobs, and when the Data.fs was written.

    Sizes are None where there is no such file; ``blob_bytes`` also where there
    are more than :data:`MOST_BLOBS`. ``modified_at`` is in seconds since the
    epoch.
    """

    size_bytes: int | None = None
    modified_at: float | None = None
    blob_bytes: int | None = None


def disk_use(data_fs: PurePosixPath | None, blob_dir: PurePosixPath | None) -> DiskUse:
    """Return how much disk the storage in DATA_FS and BLOB_DIR takes."""
    blob_bytes = _blob_bytes(blob_dir) if blob_dir is not None else None
    if data_fs is None:
        return DiskUse(blob_bytes=blob_bytes)
    try:
        found = Path(data_fs).stat()
    except OSError:
        return DiskUse(blob_bytes=blob_bytes)
    return DiskUse(size_bytes=found.st_size, modified_at=found.st_mtime, blob_bytes=blob_bytes)


def _blob_bytes(blob_dir: PurePosixPath) -> int | None:
    if not is_directory(blob_dir):
        return None
    sizes = list(islice(_sizes(str(blob_dir)), MOST_BLOBS + 1))
    return sum(sizes) if len(sizes) <= MOST_BLOBS else None


def _sizes(directory: str) -> Iterator[int]:
    for where, _, names in os.walk(directory):
        for name in names:
            if name.startswith("."):
                continue  # ZODB's own .layout and .lock
            try:
                yield Path(where, name).lstat().st_size
            except OSError:
                pass  # a blob that was packed away meanwhile
