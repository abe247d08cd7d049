"""Removes the blobs that a pack found nothing to need, by FileStorage's own hands."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from ZODB.blob import remove_committed_dir
from ZODB.POSException import POSKeyError

from zmount.filestorage.pack_files import PackFiles


def remove_blobs(storage: Any, files: PackFiles) -> int:
    """Remove the blobs on the list of a pack whose new file is in place; return how many lines.

    With ``pack-keep-old`` FileStorage moves them to ``BLOB-DIR.old`` instead,
    and gives all others a second name there.
    """
    if not files.blobs.exists():
        return 0
    return _remove(storage, files.blobs.read_bytes().splitlines(keepends=True))


def finish_blobs(storage: Any, files: PackFiles) -> int:
    """The same after a crash; what the storage has (again) by now keeps its blobs."""
    if not files.blobs.exists() or storage.blob_dir is None:
        return 0
    lines = files.blobs.read_bytes().splitlines(keepends=True)
    return _remove(
        storage, [line for line in lines if not _has(storage, bytes.fromhex(line.decode()))]
    )


def _has(storage: Any, name: bytes) -> bool:
    """Return whether the storage has an object (an oid), or a revision (an oid and a tid)."""
    oid, tid = name[:8], name[8:]
    if not tid:
        return oid in storage._index
    try:
        storage.loadSerial(oid, tid)
    except POSKeyError:
        return False
    return True


def _remove(storage: Any, lines: list[bytes]) -> int:
    old = storage.blob_dir + ".old"
    if Path(old).exists():  # of the pack before, which a crash interrupted
        remove_committed_dir(old)
    removed = Path(storage.blob_dir, ".removed")
    try:
        removed.write_bytes(b"".join(lines))
        storage._remove_blob_files_tagged_for_removal_during_pack()
    except OSError as why:
        with suppress(OSError):
            removed.unlink(missing_ok=True)  # the next pack has a list of its own
        raise OSError(why.errno, why.strerror, why.filename or str(removed)) from None
    return len(lines)
