"""Hard links in a directory of blobs, which are on the disk before anybody counts on them."""

from __future__ import annotations

import os
from pathlib import Path

from ZODB.blob import LAYOUT_MARKER, FilesystemHelper

from zmount.filestorage.blob_copy import BlobCopy
from zmount.filestorage.file_copy import sync_file_system
from zmount.filestorage.format import MAX_TID
from zmount.filestorage.index import sync_directory
from zmount.server.slow_work import paced

# directories that are flushed at a time: a commit's fsync waits for what has gathered for the disk.
# See docs/benchmarks.md. A flush of the whole file system may have much to write that is not ours
BATCH = 200


class NewNames:
    """Directories with new names in them, which go to the disk a few at a time."""

    def __init__(self) -> None:
        self._directories: set[Path] = set()

    def note(self, path: Path, top: Path) -> None:
        """There are new names in the directory PATH, and maybe in those around it, up to TOP."""
        while path not in self._directories and path != top.parent:
            self._directories.add(path)
            path = path.parent
        if len(self._directories) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Wait until the disk has them."""
        for directory in self._directories:
            sync_directory(directory)
        self._directories.clear()


class NewLinks:
    """The links that are made in the directory POOL; ``count`` is how many are new."""

    def __init__(self, pool: Path) -> None:
        self._pool = pool
        self._names = FilesystemHelper(str(pool), "automatic")
        self._new = NewNames()
        self.count = 0

    def take(self, source: str, oid: bytes, tid: bytes) -> None:
        """Let the blob OID of transaction TID, which is in the file SOURCE, be there.

        :raises FileNotFoundError: SOURCE is gone
        """
        target = Path(self._names.getBlobFilename(oid, tid))
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(source, target)
            self.count += 1
        # also if it was there: who made it may have died before the disk had it
        self._new.note(target.parent, self._pool)

    def flush(self) -> None:
        """Wait until the disk has them."""
        self._new.flush()


def link_all(blob_dir: Path, pool: Path) -> int:
    """Link all blobs in BLOB_DIR into POOL, which is not there yet; return how many.

    They are on the disk then. What cannot be linked is copied.
    """
    copy, new = BlobCopy(blob_dir, pool, MAX_TID), NewNames()
    for _ in paced(copy.run()):
        new.note(pool / copy.directory, pool)
    new.flush()
    _flush_files(pool, copy)
    return copy.linked + copy.copied


def _flush_files(pool: Path, copy: BlobCopy) -> None:
    """Wait until the disk has what is in those files that are not links."""
    if copy.copied:
        descriptor = os.open(pool, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync_file_system(descriptor)
        finally:
            os.close(descriptor)
    elif (pool / LAYOUT_MARKER).exists():
        _sync_file(pool / LAYOUT_MARKER)


def make_blob_directory(path: Path) -> None:
    """Make the directory PATH, for blobs, of which the disk has all but its name."""
    FilesystemHelper(str(path)).create()
    _sync_file(path / LAYOUT_MARKER)
    sync_directory(path)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
