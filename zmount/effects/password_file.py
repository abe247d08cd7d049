"""Passwords that zmount made up, ``NAME:PASSWORD`` a line, in a file of mode 0600.

It is the one place where they can be read, as roots keep only a hash.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from zmount.errors import PrepareFailed
from zmount.topology.options import Secret

_PRIVATE = 0o600


def kept_password(path: Path, name: str) -> Secret | None:
    """Return the password of NAME in the file PATH, None if it has none.

    :raises PrepareFailed: the file cannot be read
    """
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PrepareFailed(
            f"the password of {name} cannot be read: {error}",
            hint="run zmount as the file's owner",
        ) from None
    for line in lines:
        known, colon, password = line.partition(":")
        if colon and known == name:
            return Secret(password)
    return None


def made_password(path: Path, name: str) -> Secret:
    """Make up a password for NAME and keep it in the file PATH.

    :raises PrepareFailed: the file cannot be written
    """
    made = Secret(secrets.token_urlsafe(18))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        descriptor = os.open(path, flags, _PRIVATE)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, _PRIVATE)
            file.write(f"{name}:{made.reveal()}\n")
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise PrepareFailed(
            f"the password of {name} cannot be kept: {error}",
            hint="run zmount as another user, or give the password yourself",
        ) from None
    return made


def forget_password(path: Path, name: str) -> None:
    """Let the file PATH have no password of NAME any more.

    :raises PrepareFailed: the file cannot be written
    """
    beside = path.with_name(f"{path.name}.new")
    try:
        lines = path.read_text().splitlines(keepends=True)
        kept = [line for line in lines if line.partition(":")[0] != name]
        if kept == lines:
            return
        beside.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(beside, flags, _PRIVATE), "w") as file:
            file.writelines(kept)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise PrepareFailed(
            f"the password of {name} cannot be removed: {error}",
            hint=f"remove the line that begins with {name}: from {path}",
        ) from None
