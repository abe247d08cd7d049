"""Hard links in a directory of blobs, which are on the disk before anybody counts on them."""

from __future__ import annotations

import os
from pathlib import Path

from ZODB.blob import LAYOUT_MARKER, FilesystemHelper

from zmount.filestorage.file_copy import sync_file_system
from zmount.filestorage.index import sync_directory

# directories. To flush more of them one by one takes longer than to flush the whole file system,
# which may have much to write that is not ours
MANY = 2000


class NewLinks:
    """The links that are made in the directory POOL; ``count`` is how many are new."""

    def __init__(self, pool: Path) -> None:
        self._pool = pool
        self._names = FilesystemHelper(str(pool), "automatic")
        self._changed: set[Path] = set()
        self.count = 0

    def take(self, source: str, oid: bytes, tid: bytes) -> None:
        """Let the blob OID of transaction TID, which is in the file SOURCE, be there.

        :raises FileNotFoundError: SOURCE is gone
        """
        target = Path(self._names.getBlobFilename(oid, tid))
        # also if it is there: who made it may have died before the disk had it
        directory = target.parent
        while directory not in self._changed and directory != self._pool.parent:
            self._changed.add(directory)
            directory = directory.parent
        if target.exists():
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(source, target)
        self.count += 1

    def flush(self) -> None:
        """Wait until the disk has them."""
        _flush(self._pool, self._changed)


def flush_tree(top: Path) -> None:
    """Wait until the disk has all names in the directory TOP, and below it."""
    _flush(top, {Path(directory) for directory, _, _ in os.walk(top)})


def _flush(top: Path, directories: set[Path]) -> None:
    if len(directories) > MANY:
        descriptor = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync_file_system(descriptor)
        finally:
            os.close(descriptor)
        return
    for directory in directories:
        if directory.exists():
            sync_directory(directory)


def make_blob_directory(path: Path) -> None:
    """Make the directory PATH, for blobs, of which the disk has all but its name."""
    FilesystemHelper(str(path)).create()
    with (path / LAYOUT_MARKER).open("rb") as marker:
        os.fsync(marker.fileno())
    sync_directory(path)
