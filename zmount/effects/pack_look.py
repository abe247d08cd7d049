"""The files of a storage that is to be packed, as they are now."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zmount.effects.file_lock import writer
from zmount.effects.process_table import Owner


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """``size_bytes`` of a Data.fs (None: there is none), its ``disk``, who has it open.

    ``path`` is None for a storage that has no such file. ``unseen`` says why it cannot be
    looked at, "" where it could.
    """

    path: Path | None = None
    size_bytes: int | None = None
    disk: int = 0
    writer: Owner | None = None
    unseen: str = ""


def look_at(data_fs: Path) -> DataFile:
    """Return how the file DATA_FS is."""
    try:
        disk = data_fs.parent.stat().st_dev
        size_bytes = data_fs.stat().st_size
        return DataFile(path=data_fs, size_bytes=size_bytes, disk=disk, writer=writer(data_fs))
    except (FileNotFoundError, NotADirectoryError):
        return DataFile(path=data_fs)
    except OSError as why:
        return DataFile(path=data_fs, unseen=f"{why.filename or data_fs}: {why.strerror}")


def size_of(data_fs: Path | None) -> int | None:
    """Return the size of the file DATA_FS in bytes; None if it is not to be known."""
    try:
        return None if data_fs is None else data_fs.stat().st_size
    except OSError:
        return None
