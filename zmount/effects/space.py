"""Room on a volume, and whether two paths are on one."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath


def free_bytes(path: PurePosixPath) -> int:
    """Return how much may still be written where PATH is, or will be."""
    found = os.statvfs(_there(path))
    return found.f_bavail * found.f_frsize


def are_on_one_volume(one: PurePosixPath, other: PurePosixPath) -> bool:
    """True if a file of ONE could be linked into OTHER."""
    return _there(one).stat().st_dev == _there(other).stat().st_dev


def volume_of(path: PurePosixPath) -> int:
    """Return the number of the volume where PATH is, or will be."""
    return _there(path).stat().st_dev


def mount_point(path: PurePosixPath) -> str:
    """Return where the volume is mounted that PATH is on, or will be."""
    there = Path(os.path.realpath(_there(path)))
    return str(next(each for each in (there, *there.parents) if os.path.ismount(each)))


def size_bytes(path: PurePosixPath) -> int:
    """Return the size of the file PATH; 0 if it is not there."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def _there(path: PurePosixPath) -> Path:
    """Return PATH, or the nearest directory above it that exists."""
    return next(each for each in (Path(path), *Path(path).parents) if each.exists())
