"""Before a data file is opened: what a pack left of itself that was killed with its process.

The next pack would put it right, but until then a file as large as the data file may
lie there, and without its index the storage reads all of it before it answers.
"""

from __future__ import annotations

import os
from pathlib import Path

from zmount.errors import StorageUnwritable
from zmount.filestorage.pack_files import PackFiles
from zmount.filestorage.storage_lock import storage_locked


def finish_pack(path: str | os.PathLike[str]) -> str:
    """Put right what an interrupted pack of the data file PATH left; return what was done.

    If the new file is in place it gets its index. Blobs that were to go stay until
    the next pack, which asks the open storage whether it needs them. What a stock
    pack left is not touched: a ``Data.fs.pack`` may be all that there is then.

    :return: empty: there was nothing
    :raises Locked: a FileStorage has it open, and may be packing it
    :raises StorageUnwritable: no permission, or the disk does not let it
    """
    files = PackFiles(Path(path))
    if not files.is_interrupted:
        return ""
    with storage_locked(path):
        try:
            return _finish(files)
        except OSError as why:
            where = why.filename or files.path
            raise StorageUnwritable(f"{where}: {why.strerror or why}") from None


def _finish(files: PackFiles) -> str:
    if not files.is_switched:
        size = files.new.stat().st_size if files.new.exists() else 0
        files.remove_leftovers()
        return f"what an interrupted pack had written is removed ({size:,} bytes)"
    files.finish_index()
    if files.blobs.exists() and files.blobs.stat().st_size:
        files.progress.unlink(missing_ok=True)
        return "it is packed: the pack was interrupted after that; the next one removes the blobs"
    files.remove_leftovers()
    return "it is packed: the pack was interrupted after that"
