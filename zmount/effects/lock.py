"""One zmount at a time on a deployment's directory, and where zmount keeps its own files.

The kernel holds the lock for the process, so it goes away with it, however the
process ends; the file's text only says who that is.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from zmount.errors import ApplyFailed, ApplyRefused, Locked
from zmount.plan.manifest import STATE


@contextmanager
def locked(directory: PurePosixPath, *, name: str = "lock") -> Iterator[Path]:
    """Hold the lock of the deployment in DIRECTORY; yield where zmount's own files are.

    What may go on while files are applied and processes started has a lock of
    another NAME.

    DIRECTORY is made if it is missing, and removed again if what is done under
    the lock fails and leaves nothing in it.

    :raises Locked: another process holds it; the message names it
    :raises ApplyFailed: the directory cannot be made or written
    :raises ApplyRefused: the place of zmount's own files belongs to somebody else
    """
    made = _make(Path(directory / STATE))
    try:
        state = Path(directory / STATE)
        _must_be_own(state)
        with _held(state / name):
            try:
                yield state
            except BaseException:
                if made and list(state.iterdir()) == [state / name]:
                    (state / name).unlink()
                raise
    except BaseException:
        _remove_empty(made)
        raise


def _make(state: Path) -> list[Path]:
    try:
        missing = [path for path in (state, *state.parents) if not path.is_dir()]
    except OSError as why:
        raise ApplyFailed(
            f"{why.filename}: it cannot be looked at: {why.strerror}",
            hint="act as the user who applied before",
        ) from None
    made: list[Path] = []
    for path in reversed(missing):
        try:
            path.mkdir(mode=0o700 if path == state else 0o755)
        except FileExistsError:
            if path.is_dir():
                continue  # another zmount was faster
            raise ApplyFailed(f"{path}: a directory is needed here, not a file") from None
        except OSError as why:
            _remove_empty(made)
            raise ApplyFailed(
                f"the directory {path} cannot be made: {why.strerror}",
                hint=f"make {path.parent} writable for the user who applies, or apply as root",
            ) from None
        made.append(path)
    return made


def _remove_empty(directories: list[Path]) -> None:
    for path in reversed(directories):
        try:
            path.rmdir()
        except OSError:
            return  # in use by now: it stays


def _must_be_own(state: Path) -> None:
    """Refuse a journal that another user could have written: applying it would obey him."""
    status = state.lstat()
    if status.st_uid not in (0, os.geteuid()) or state.is_symlink():
        raise ApplyRefused(
            f"{state} belongs to another user, or is a link: its journal cannot be trusted",
            hint=f"apply as the user who owns {state}",
        )


@contextmanager
def _held(path: Path) -> Iterator[None]:
    descriptor = _open(path)
    try:
        try:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        except OSError:
            pass  # a full disk: the lock is held all the same
        yield
    finally:
        os.close(descriptor)


def _open(path: Path) -> int:
    """Return a descriptor that holds the lock of the file that PATH is now."""
    while True:
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(path, flags, 0o600)
        except OSError as why:
            raise ApplyFailed(
                f"{path}: the lock cannot be opened: {why.strerror}",
                hint="act as the user who applied before"
                if isinstance(why, PermissionError)
                else "",
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(descriptor, 20).decode(errors="replace").strip()
            os.close(descriptor)
            raise Locked(
                f"another zmount is at work here (pid {pid or 'unknown'}, {path})",
                hint="wait until it has ended; the lock ends with it",
            ) from None
        if _is(path, descriptor):
            return descriptor
        os.close(descriptor)  # its holder removed the file: take the lock of the new one


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
