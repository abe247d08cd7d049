"""What makes a mount point right whose place is free, and what stands against it.

``zmount apply`` and ``zmount remount`` agree on this. Pure: judges only by what was read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zmount.effects.raw_roots import MountState
from zmount.effects.raw_storages import is_in_memory
from zmount.plan.root_steps import MakeMountPoint, MendMountPoint, RootStep, StopMaking


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Something that is not as the topology says and that a person must decide."""

    what: str
    hint: str

    def __str__(self) -> str:
        return f"{self.what} ({self.hint})"


def is_there(state: MountState) -> bool:
    """True if the mount point itself is in its place, known to its folder or not."""
    return state.state in ("ok", "unlisted", "forgotten")


def mount_point_steps(state: MountState) -> Iterator[RootStep]:
    """Yield what makes a mount point right that is missing, or is there."""
    virtual, in_memory = state.point.virtual, is_in_memory(state.mount)
    if not is_there(state):
        yield MakeMountPoint(virtual=virtual, database=state.mount.name, makes_missing=in_memory)
    elif state.state != "ok":
        yield MendMountPoint(virtual=virtual)
    if state.makes_missing and not in_memory:
        yield StopMaking(virtual=virtual)


def missing_object(state: MountState) -> Refusal | None:
    """Return that the storage holds something, but not what the mount point shows; or None."""
    storage, content = state.mount.storage.name, state.content
    if content.state != "missing":
        return None
    held = ", ".join(content.holds) or "nothing"
    return Refusal(
        what=f"{state.point.virtual}: the storage {storage} has no {state.point.real}: there is no "
        f"{content.missing_at!r}, it holds {held}",
        hint="correct the real path in mount-point, or make the object: "
        f"an admin instance with root {storage} shows the storage as it is",
    )


def read_only_storages(state: MountState, read_only: frozenset[str]) -> Refusal | None:
    """Return that what is to be made cannot be written, or None; READ_ONLY are mounts' names."""
    needs = {state.holder} if state.state != "ok" else set()
    needs |= {state.mount.name} if state.content.state == "empty" else set()
    if not needs & read_only:
        return None
    return Refusal(
        what=f"{state.point.virtual}: nothing can be changed there, the database "
        f"{', '.join(sorted(needs & read_only))} is read-only",
        hint="do it through an instance that may write there",
    )
