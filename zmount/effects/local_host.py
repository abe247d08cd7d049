"""Looking at this machine's files, directories and users; nothing is changed."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from zmount.plan.seen import CANNOT_READ, Seen
from zmount.plan.steps import FileState, Owner

_IN_THE_WAY = "a directory is needed here, and something else is in the way"


def observe(
    *, files: Iterable[PurePosixPath], directories: Iterable[PurePosixPath], users: Iterable[str]
) -> Seen:
    """Return what there is of FILES, DIRECTORIES and USERS."""
    found: dict[PurePosixPath, FileState] = {}
    obstacles: dict[PurePosixPath, str] = {}
    for path in files:
        try:
            state = file_state(path)
        except OSError as why:
            obstacles[path] = f"{CANNOT_READ}{why.strerror}"
        except NotAPlainFile as why:
            obstacles[path] = str(why)
        else:
            if state is not None:
                found[path] = state
    return Seen(
        files=found,
        directories=_owners(directories, obstacles),
        obstacles=obstacles,
        users={name: owner for name in users if (owner := owner_named(name)) is not None},
        user=user_name(),
        is_root=os.geteuid() == 0,
    )


class NotAPlainFile(Exception):
    """A file belongs here, and something else is in its place."""


def _owners(
    directories: Iterable[PurePosixPath], obstacles: dict[PurePosixPath, str]
) -> dict[PurePosixPath, Owner]:
    """Return the owners of those DIRECTORIES that are there; add what is in the way of others."""
    owners: dict[PurePosixPath, Owner] = {}
    for path in directories:
        try:
            status = Path(path).stat()
        except (FileNotFoundError, NotADirectoryError):
            if os.path.lexists(path):  # a link to nothing
                obstacles[path] = _IN_THE_WAY
        except OSError as why:
            obstacles[path] = f"{CANNOT_READ}{why.strerror}"
        else:
            if stat.S_ISDIR(status.st_mode):
                owners[path] = Owner(uid=status.st_uid, gid=status.st_gid)
            else:
                obstacles[path] = _IN_THE_WAY
    return owners


def file_state(path: PurePosixPath) -> FileState | None:
    """Return the file at PATH, or None if there is nothing.

    :raises NotAPlainFile: it is a symbolic link, a directory or worse
    :raises OSError: it cannot be read
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        if Path(path).is_symlink():
            raise NotAPlainFile("it is a symbolic link, and zmount writes plain files") from None
        raise
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise NotAPlainFile("a file is needed here, and something else is in the way")
    with os.fdopen(descriptor, "rb") as file:
        text = file.read().decode("utf-8", "surrogateescape")
    # only root can give a file back to its owner
    owner = Owner(uid=status.st_uid, gid=status.st_gid) if os.geteuid() == 0 else None
    return FileState(text=text, mode=stat.S_IMODE(status.st_mode), owner=owner)


def written_at(path: PurePosixPath) -> float | None:
    """Return when the file at PATH was written, in seconds since the epoch; None without one."""
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return None


def owner_named(user: str) -> Owner | None:
    """Return the numbers of USER and of its group, or None if there is no such user."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        return None
    return Owner(uid=entry.pw_uid, gid=entry.pw_gid)


def user_name() -> str:
    """Return the name of the user that runs this, or its number where it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
