"""Small questions about files of this machine."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath


def is_executable(path: PurePosixPath | str) -> bool:
    """True if PATH is a file that we may run."""
    return os.access(path, os.X_OK) and Path(path).is_file()  # which raises where access says no


def why_not_runnable(program: PurePosixPath | str) -> str:
    """Return what is in the way of running PROGRAM; "" if nothing is.

    Of a script whose interpreter is gone (the Python of a virtual environment
    after an upgrade of the system) the kernel says only that it is not there.
    """
    if not is_executable(program):
        return f"there is no program {program}"
    interpreter = _interpreter(program)
    if interpreter and not is_executable(interpreter):
        return f"{program} needs {interpreter}, which cannot be run"
    return ""


def _interpreter(program: PurePosixPath | str) -> str:
    """Return what the first line of the script PROGRAM names; "" if it names nothing."""
    try:
        with Path(program).open("rb") as script:
            first = script.readline(4096)
    except OSError:  # it may be run though not read
        return ""
    words = first[2:].split() if first.startswith(b"#!") else []
    return os.fsdecode(words[0]) if words else ""


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
