"""Small questions about files of this machine."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath


def is_executable(path: str | os.PathLike[str]) -> bool:
    """True if PATH is a file that we may run."""
    return is_file(path) and os.access(path, os.X_OK)


def is_file(path: str | os.PathLike[str]) -> bool:
    """True if PATH is a file, as far as we may look."""
    try:
        return Path(path).is_file()
    except OSError:
        return False


def is_directory(path: str | os.PathLike[str]) -> bool:
    """True if PATH is a directory, as far as we may look."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def why_not_readable(path: str | os.PathLike[str]) -> str:
    """Return what is in the way of reading the file PATH; "" if nothing is."""
    try:
        Path(path).open("rb").close()
    except (FileNotFoundError, NotADirectoryError):
        return f"{path} is not there"
    except OSError as why:
        return f"{path} cannot be read: {why.strerror}"
    return ""


def why_not_runnable(program: str | os.PathLike[str]) -> str:
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


def _interpreter(program: str | os.PathLike[str]) -> str:
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
    try:
        if not Path(directory).is_dir():
            return f"there is no directory {directory}"
    except OSError as why:
        return f"{directory} cannot be looked at: {why.strerror}"
    return "" if os.access(directory, os.W_OK | os.X_OK) else f"{directory} is not writable for us"
