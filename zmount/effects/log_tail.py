"""The ends of log files, and what was added to them since a moment."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

_MOST_BYTES = 256 * 1024


def size_bytes(path: PurePosixPath) -> int:
    """Return the size of the file PATH; 0 if there is none."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def text_since(path: PurePosixPath, offset: int) -> str:
    """Return what was added to the log PATH since it was OFFSET bytes long.

    Of much text only the last part. A file that is shorter now was rotated, and
    is new as a whole.
    """
    try:
        with Path(path).open("rb") as log:
            size = os.fstat(log.fileno()).st_size
            start = offset if 0 <= offset <= size else 0
            log.seek(max(start, size - _MOST_BYTES))
            return log.read(_MOST_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def last_lines(text: str, count: int = 5) -> tuple[str, ...]:
    """Return the last COUNT lines of TEXT that hold something."""
    return tuple(line for line in text.splitlines() if line.strip())[-count:]
