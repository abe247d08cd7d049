"""The password that zmount made up for the administrator.

It is in ``etc/administrator`` of the deployment's directory, ``name:password``,
mode 0600: the one place where it can be read, as roots keep only a hash.
"""

from __future__ import annotations

from pathlib import Path

from zmount.effects.password_file import kept_password, made_password
from zmount.topology.administrator import Administrator
from zmount.topology.hosts import Host
from zmount.topology.options import Secret


def administrator_file(host: Host) -> Path:
    """Return where the made-up password is on HOST."""
    return Path(host.etc / "administrator")


def known_password(administrator: Administrator, host: Host) -> Secret | None:
    """Return ADMINISTRATOR's password: the configured one, else the one made up before.

    :raises PrepareFailed: the file of passwords cannot be read
    """
    if administrator.password is not None:
        return administrator.password
    return kept_password(administrator_file(host), administrator.name)


def password(administrator: Administrator, host: Host) -> Secret:
    """Return ADMINISTRATOR's password, making one up if there is none yet.

    :raises PrepareFailed: the file of passwords cannot be read or written
    """
    known = known_password(administrator, host)
    if known is not None:
        return known
    return made_password(administrator_file(host), administrator.name)
