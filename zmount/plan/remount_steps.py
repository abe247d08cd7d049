"""What is repaired at mount points, and what is done in the attic."""

from __future__ import annotations

from dataclasses import dataclass

from zmount.plan.root_steps import RootStep


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceByMountPoint(RootStep):
    """Move what is at ``virtual`` to the attic and make the mount point there."""

    name = "replace_by_mount_point"
    virtual: str
    database: str
    makes_missing: bool
    reason: str

    def __str__(self) -> str:
        return f"move what is at {self.virtual} to the attic and make the mount point there"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaceReference(RootStep):
    """Make the mount point where a reference to what it shows stands; ``oid`` is hex."""

    name = "replace_reference"
    virtual: str
    database: str
    oid: str

    def __str__(self) -> str:
        return f"replace the reference into {self.database} at {self.virtual} by the mount point"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveReference(RootStep):
    """Remove the reference at ``path`` to what is mounted at ``virtual``; ``oid`` is hex."""

    name = "remove_reference"
    path: str
    virtual: str
    database: str
    oid: str

    def __str__(self) -> str:
        return f"remove the reference at {self.path} to what {self.virtual} shows"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMountPath(RootStep):
    """Let a mount point that was made for another path know where it is."""

    name = "set_mount_path"
    virtual: str

    def __str__(self) -> str:
        return f"set the mount point at {self.virtual} to its path"


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenAt(RootStep):
    """Ask what the mount point at ``virtual`` shows; changes nothing."""

    name = "seen_at"
    virtual: str

    def __str__(self) -> str:
        return f"see what {self.virtual} shows"


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveToAttic(RootStep):
    """Move what is at ``path`` to the attic, which says ``reason`` of it."""

    name = "move_to_attic"
    path: str
    reason: str

    def __str__(self) -> str:
        return f"move {self.path} to the attic"


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreFromAttic(RootStep):
    """Put what is in the attic's folder ``slot`` at ``path``."""

    name = "restore_from_attic"
    slot: str
    path: str

    def __str__(self) -> str:
        return f"put {self.slot} from the attic at {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DropFromAttic(RootStep):
    """Remove the attic's folder ``slot``."""

    name = "drop_from_attic"
    slot: str

    def __str__(self) -> str:
        return f"remove {self.slot} from the attic"
