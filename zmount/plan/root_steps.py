"""What can be made in an instance's root and in the storages that it mounts."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True, kw_only=True)
class RootStep:
    """One thing to make; ``name`` is the function that makes it, inside Zope."""

    name: ClassVar[str]

    def as_json(self) -> dict[str, Any]:
        """Return the step as ``agent/steps.py`` reads it."""
        return {"step": self.name, **asdict(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeContent(RootStep):
    """Make the object at the path ``real`` in an empty database, with its parents."""

    name = "make_content"
    database: str
    root: str
    real: str
    container_class: str

    def __str__(self) -> str:
        kind = self.container_class.rpartition(".")[2]
        return f"make {self.real}, a {kind}, in {self.database}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeMountPoint(RootStep):
    """Make a mount point of ``database``, and the folders above it."""

    name = "make_mount_point"
    virtual: str
    database: str
    makes_missing: bool = False

    def __str__(self) -> str:
        return f"make the mount point {self.virtual}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MendMountPoint(RootStep):
    """Let a mount point's folder list it and remember it."""

    name = "mend_mount_point"
    virtual: str

    def __str__(self) -> str:
        return f"list the mount point {self.virtual} in its folder"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopMaking(RootStep):
    """Keep a mount point from making an empty object where the real path is wrong."""

    name = "stop_making"
    virtual: str

    def __str__(self) -> str:
        return f"keep {self.virtual} from making what its storage lacks"


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeSandboxes(RootStep):
    """Make the folder for sandboxes; owners get ``permissions`` on what is theirs."""

    name = "make_sandboxes"
    path: str
    permissions: tuple[str, ...]

    def __str__(self) -> str:
        return f"make the folder for sandboxes {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeSessionContainer(RootStep):
    """Make the transient object container that holds sessions."""

    name = "make_session_container"
    path: str
    container: str
    timeout_minutes: int
    max_objects: int

    def __str__(self) -> str:
        return f"make the session container {self.path}/{self.container}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSessions(RootStep):
    """Let the session data manager use the session container."""

    name = "point_sessions"
    path: str

    def __str__(self) -> str:
        return f"keep sessions in {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeAdministrator(RootStep):
    """Make the first user, a Manager; the password is added where it is made."""

    name = "make_administrator"
    user: str

    def __str__(self) -> str:
        return f"make the administrator {self.user}"
