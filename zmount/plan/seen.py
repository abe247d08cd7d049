"""What was found on a host: the facts that a plan is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from zmount.plan.steps import FileState, Owner

CANNOT_READ = "it cannot be read: "  # begins an obstacle that another user gets past


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The files, directories and users of a host, as far as a plan asks for them.

    ``files`` holds those that exist, ``directories`` the owners of those that do.
    ``obstacles`` says what stands where a file or directory belongs: a symbolic
    link, something that cannot be read. ``users`` holds the users that exist;
    ``user`` is the one who runs zmount, by name.
    """

    files: Mapping[PurePosixPath, FileState]
    directories: Mapping[PurePosixPath, Owner]
    obstacles: Mapping[PurePosixPath, str]
    users: Mapping[str, Owner]
    user: str
    is_root: bool


def way_past(obstacle: str, path: PurePosixPath) -> str:
    """Return what an operator can do about OBSTACLE, which is at PATH."""
    if obstacle.startswith(CANNOT_READ):
        return "act as the user who applied before, or as root"
    return f"move {path} away"
