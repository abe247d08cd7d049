"""Who has a FileStorage open for writing."""

from __future__ import annotations

import fcntl
from pathlib import Path, PurePosixPath

from zmount.effects.diagnosis import locked_by
from zmount.effects.process_table import Owner


def writer(data_fs: Path) -> Owner | None:
    """Return the process that holds the lock of DATA_FS, or None if nobody does.

    The lock is the kernel's (zc.lockfile): a lock file that a dead process left
    behind does not count. Nothing is created.
    """
    return holder(data_fs.with_name(data_fs.name + ".lock"))


def holder(path: Path) -> Owner | None:
    """Return the process that holds the lock file PATH, or None if nobody does."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, IsADirectoryError):
        return None  # a directory of that name cannot be locked: who opens the storage says so
    except BlockingIOError:
        return locked_by(PurePosixPath(path)) or Owner(pid=None)
    return None
