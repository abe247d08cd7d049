"""The list of what is off-line on a host, and who takes something off-line."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterable
from pathlib import Path

from zmount.effects.disk import sync_directory
from zmount.errors import OfflineFailed
from zmount.plan.offline import OFFLINE, Offline, offline_text, parse_offline
from zmount.topology.hosts import Host


def offline_mounts(host: Host) -> tuple[Offline, ...]:
    """Return the mount points of HOST's instances that are off-line.

    :raises OfflineFailed: the list cannot be read
    """
    path = Path(host.directory / OFFLINE)
    try:
        return parse_offline(path.read_text())
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except (OSError, ValueError) as why:
        raise OfflineFailed(
            f"{path}, which says what is off-line, cannot be read: {why}",
            hint="act as the user who applied before; where the file is damaged, move it away: "
            "what stands in for a mount point stays in the root until zmount online",
        ) from None


def remember_offline(host: Host, mounts: Iterable[Offline]) -> None:
    """Let the list of HOST be MOUNTS; the caller holds the deployment's lock.

    :raises OfflineFailed: it cannot be written; it is what it was
    """
    path = Path(host.directory / OFFLINE)
    new = path.with_name(path.name + ".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(new, flags, 0o644), "w", encoding="utf-8") as file:
            file.write(offline_text(mounts))
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        sync_directory(path.parent)
    except OSError as why:
        raise OfflineFailed(
            f"{path} cannot be written: {why.strerror}",
            hint="act as the user who applied before, and look whether the disk is full",
        ) from None


def who() -> str:
    """Return who runs zmount, and where."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # no name for the uid
        user = f"uid {os.geteuid()}"
    return f"{user}@{socket.gethostname()}"
