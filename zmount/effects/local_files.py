"""Small questions about files of this machine."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath


def is_executable(path: PurePosixPath | str) -> bool:
    """True if PATH is a file that we may run."""
    return Path(path).is_file() and os.access(path, os.X_OK)


def text_of(path: PurePosixPath) -> str | None:
    """Return the text of the file PATH; None if there is none.

    A file that we may not read is there: its text is "".
    """
    try:
        return Path(path).read_text(errors="surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        return ""


def why_not_writable(directory: PurePosixPath) -> str:
    """Return what is in the way of writing into DIRECTORY; "" if nothing is."""
    if not Path(directory).is_dir():
        return f"there is no directory {directory}"
    return "" if os.access(directory, os.W_OK | os.X_OK) else f"{directory} is not writable for us"
