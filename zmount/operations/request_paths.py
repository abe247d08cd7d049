"""Which mount point the path of a request leads to, by what the topology says."""

from __future__ import annotations

from collections.abc import Iterable

from zmount.topology.mounts import Mount, MountPoint


def mount_of_path(path: str, mounts: Iterable[Mount]) -> tuple[Mount, MountPoint] | None:
    """Return the mount point among MOUNTS that PATH goes through; None: only the root.

    What a web server puts before and into a path for Zope's virtual hosts is left
    out. Zope acquires, so a mount point counts wherever its path stands in PATH;
    the longest one is meant.
    """
    names = object_names(path)
    points = [(mount, point) for mount in mounts for point in mount.points if not point.is_root]
    points.sort(key=lambda each: len(each[1].virtual), reverse=True)
    for mount, point in points:
        if _stands_in(point.virtual.strip("/").split("/"), names):
            return mount, point
    return None


def object_names(path: str) -> list[str]:
    """Return the names of objects in PATH, without the marks of virtual hosts."""
    names = [name for name in path.split("/") if name]
    if "VirtualHostBase" in names:
        at = names.index("VirtualHostBase")
        names = names[:at] + names[at + 3 :]  # its protocol and host
    if "VirtualHostRoot" in names:
        at = names.index("VirtualHostRoot")
        rest = names[at + 1 :]
        while rest and rest[0].startswith("_vh_"):
            rest = rest[1:]
        names = names[:at] + rest
    return names


def _stands_in(wanted: list[str], names: list[str]) -> bool:
    size = len(wanted)
    return any(names[at : at + size] == wanted for at in range(len(names) - size + 1))
