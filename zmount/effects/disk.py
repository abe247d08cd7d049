"""Changing files and directories so that neither kill -9 nor a power cut halves them.

A file is written beside its place under a name of its own, flushed to the disk
and then renamed: a reader sees the old text or the new one, never a part.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

from zmount.effects.local_host import NotAPlainFile, file_state
from zmount.plan.steps import FileState, Owner


def beside(path: PurePosixPath, number: int) -> Path:
    """Return where journal NUMBER keeps the new text of PATH until it is renamed."""
    return Path(path.with_name(f".{path.name}.zmount-{number}"))


def write_beside(path: PurePosixPath, state: FileState, number: int) -> None:
    """Write STATE beside PATH and flush it.

    :raises OSError: no space, no permission
    """
    staged = beside(path, number)
    remove_beside(path, number)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(staged, flags, 0o600), "wb") as file:
        file.write(state.text.encode("utf-8", "surrogateescape"))
        file.flush()
        _own(file.fileno(), state.owner)
        os.fchmod(file.fileno(), state.mode)
        os.fsync(file.fileno())


def is_beside(path: PurePosixPath, state: FileState, number: int) -> bool:
    """True if :func:`write_beside` has written all of STATE."""
    found = file_state(PurePosixPath(beside(path, number)))
    if found is None:
        return False
    is_owned = state.owner is None or found.owner == state.owner
    return found.text == state.text and found.mode == state.mode and is_owned


def remove_beside(path: PurePosixPath, number: int) -> None:
    """Remove what :func:`write_beside` wrote, if it is there."""
    try:
        beside(path, number).unlink()
    except (FileNotFoundError, NotADirectoryError):
        pass  # it never came to be


def put_in_place(path: PurePosixPath, number: int) -> None:
    """Rename what :func:`write_beside` wrote to PATH."""
    beside(path, number).replace(path)


def set_mode(path: PurePosixPath, state: FileState) -> None:
    """Give the plain file at PATH the mode and owner of STATE."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _own(descriptor, state.owner)
        os.fchmod(descriptor, state.mode)
    finally:
        os.close(descriptor)


def make_directory(path: PurePosixPath, mode: int, owner: Owner | None) -> None:
    """Make the directory PATH, unless there is one with something in it."""
    try:
        Path(path).mkdir(mode=0o700)
    except FileExistsError:
        if not Path(path).is_dir():
            raise
        if Path(path).is_symlink() or any(Path(path).iterdir()):
            return
        # empty: what a crash left before its mode was set
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _own(descriptor, owner)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)


def remove_directory(path: PurePosixPath) -> None:
    """Remove the directory PATH if it is there and empty."""
    try:
        Path(path).rmdir()
    except OSError:
        if Path(path).is_dir() and not any(Path(path).iterdir()):
            raise


def is_state(path: PurePosixPath, state: FileState | None) -> bool:
    """True if PATH holds STATE's text; for None, if there is nothing at PATH."""
    try:
        found = file_state(path)
    except NotAPlainFile:
        return False
    if found is None or state is None:
        return found is None and state is None
    return found.text == state.text


def sync_directory(path: PurePosixPath | Path) -> None:
    """Flush the entries of the directory PATH, if there is one."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _own(descriptor: int, owner: Owner | None) -> None:
    if owner is None:
        return
    status = os.fstat(descriptor)
    if (status.st_uid, status.st_gid) != (owner.uid, owner.gid):
        os.fchown(descriptor, owner.uid, owner.gid)
