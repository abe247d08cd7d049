"""Files as they are on the disk now, to be compared with what a process has open."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from zmount.filestorage.format import MAGIC
from zmount.filestorage.index import index_position
from zmount.filestorage.reindex import index_path


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSeen:
    """The file PATH; ``inode`` is None where there is none, or ``why_not`` it may not be seen.

    ``real_path`` is its name without symbolic links, as the kernel tells it of a process;
    ``modified_at`` is in seconds since the epoch.
    """

    path: Path
    real_path: Path
    device: int = 0
    inode: int | None = None
    size_bytes: int = 0
    modified_at: float = 0.0
    why_not: str = ""

    @property
    def identity(self) -> tuple[int, int | None]:
        """What it is, whatever its name."""
        return self.device, self.inode


def see_file(path: Path) -> FileSeen:
    """Return how PATH is now."""
    real = Path(os.path.realpath(path))
    try:
        state = real.stat()
    except (FileNotFoundError, NotADirectoryError):
        return FileSeen(path=path, real_path=real)
    except OSError as why:
        return FileSeen(path=path, real_path=real, why_not=why.strerror or str(why))
    return FileSeen(
        path=path,
        real_path=real,
        device=state.st_dev,
        inode=state.st_ino,
        size_bytes=state.st_size,
        modified_at=state.st_mtime,
    )


def why_unreadable(path: Path) -> str:
    """Return why the file PATH may not be read; "" if it may, or is not there."""
    try:
        path.open("rb").close()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as why:
        return why.strerror or str(why)
    return ""


def index_known(path: Path) -> int | None:
    """Return up to which byte the saved index knows the data file PATH; None without one.

    :raises StorageUnreadable: the index is none, or may not be read
    """
    return index_position(index_path(path))


def is_data_file(path: Path) -> bool:
    """True if PATH begins as a FileStorage's data file does."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def first_tid(path: Path) -> bytes | None:
    """Return the first transaction of the data file PATH; None: it has none, or is not to be read.

    Source: ``ZODB/FileStorage/format.py``: the tid follows four bytes of magic.
    """
    try:
        with path.open("rb") as file:
            head = file.read(12)
    except OSError:
        return None
    return head[4:] if len(head) == 12 and head.startswith(b"FS") else None
