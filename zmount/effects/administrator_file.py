"""The password that zmount made up for the administrator.

It is in ``etc/administrator`` of the deployment's directory, ``name:password``,
mode 0600: the one place where it can be read, as roots keep only a hash.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from zmount.errors import PrepareFailed
from zmount.topology.administrator import Administrator
from zmount.topology.hosts import Host
from zmount.topology.options import Secret

_PRIVATE = 0o600


def administrator_file(host: Host) -> Path:
    """Return where the made-up password is on HOST."""
    return Path(host.etc / "administrator")


def known_password(administrator: Administrator, host: Host) -> Secret | None:
    """Return ADMINISTRATOR's password: the configured one, else the one made up before.

    :raises PrepareFailed: the file of passwords cannot be read
    """
    if administrator.password is not None:
        return administrator.password
    try:
        lines = administrator_file(host).read_text().splitlines()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PrepareFailed(
            f"the administrator's password cannot be read: {error}",
            hint="run zmount as the file's owner",
        ) from None
    for line in lines:
        name, colon, password = line.partition(":")
        if colon and name == administrator.name:
            return Secret(password)
    return None


def password(administrator: Administrator, host: Host) -> Secret:
    """Return ADMINISTRATOR's password, making one up if there is none yet.

    :raises PrepareFailed: the file of passwords cannot be read or written
    """
    known = known_password(administrator, host)
    if known is not None:
        return known
    made = Secret(secrets.token_urlsafe(18))
    path = administrator_file(host)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
        descriptor = os.open(path, flags, _PRIVATE)
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(descriptor, _PRIVATE)
            file.write(f"{administrator.name}:{made.reveal()}\n")
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise PrepareFailed(
            f"the administrator's password cannot be kept: {error}",
            hint="say administrator-password in the topology, or run zmount as another user",
        ) from None
    return made
