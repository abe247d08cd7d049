"""Rules about each mount point by itself."""

from __future__ import annotations

from collections.abc import Iterator

from zmount.topology.checks.ids import why_no_id, why_no_path
from zmount.topology.findings import Finding, error, warning
from zmount.topology.instances import Instance
from zmount.topology.mounts import Mount, MountPoint
from zmount.topology.topology import Topology

# what Zope makes in every root at its first start
ZOPES_OWN = frozenset(
    "Control_Panel acl_users browser_id_manager error_log index_html session_data_manager "
    "standard_error_message virtual_hosting".split()
)


def mount_points(topology: Topology) -> Iterator[Finding]:
    """Yield the mount points that Zope refuses or mounts otherwise than one thinks."""
    for instance in topology.instances:
        for mount in instance.mounts:
            for point in mount.points:
                finding = (
                    _of_the_root(instance, point)
                    if point.is_root
                    else _syntax(instance, mount, point) or _real_path(instance, point)
                )
                if finding is not None:
                    yield finding


def _of_the_root(instance: Instance, point: MountPoint) -> Finding | None:
    if point.real == "/" and point.root == "Application":
        return None
    return error(
        "root-real-path",
        point.place,
        f"instance {instance.name}: mount point {point}",
        why="Zope shows the storage's Application at /, whatever is said here",
        hint="mount-point /",
    )


def _syntax(instance: Instance, mount: Mount, point: MountPoint) -> Finding | None:
    """Return what is wrong in the writing of POINT."""
    what = f"instance {instance.name}: mount point {point} of {mount.name}"
    if ":" in point.root or not point.root:
        root = point.root.replace(":", "")
        return error(
            "mount-point-tilde",
            point.place,
            what,
            why=f"Zope reads a root called {point.root!r} in it, and mounts an empty folder",
            hint=f"mount-point {point.virtual}:~{root or 'ROOT'}/{point.real.lstrip('/')}",
        )
    for path in (point.virtual, point.real):
        if not path.startswith("/"):
            return error(
                "mount-point-relative",
                point.place,
                what,
                why=f"{path or 'nothing'} is no path",
                hint=f"/{path}",
            )
        if path.endswith("/") and path != "/":
            return error(
                "mount-point-slash",
                point.place,
                what,
                why="Zope takes the / at its end for an empty id, and answers BadRequest",
                hint=path.rstrip("/") or "/NAME",
            )
        why = why_no_path(path)
        if why:
            return error("mount-point-path", point.place, what, why=why, hint="another path")
    return None


def _real_path(instance: Instance, point: MountPoint) -> Finding | None:
    """Return what is wrong between the two paths of POINT."""
    what = f"instance {instance.name}: mount point {point}"
    if point.real == "/":
        if point.root != "Application":
            return None  # the object in the storage's root mapping may have the right id
        return error(
            "mount-point-real-root",
            point.place,
            what,
            why="it mounts the storage's Application, whose id is '': its URLs are wrong",
            hint=f"mount-point {point.virtual}:/home{_last(point.virtual)}, or wherever it lies",
        )
    if _last(point.virtual) != _last(point.real):
        return error(
            "mount-point-names-differ",
            point.place,
            what,
            why=f"the object's id in the storage is {_last(point.real)[1:]}, so its URLs would be "
            f"{point.virtual[: -len(_last(point.virtual))]}{_last(point.real)}, and looking at "
            "it writes to the root",
            hint=f"the same last element on both sides, as {point.virtual}:"
            f"{point.real[: -len(_last(point.real))]}{_last(point.virtual)}",
        )
    return None


def _last(path: str) -> str:
    """Return the last element of PATH, with the ``/`` before it."""
    return path[path.rindex("/") :]


def mounts_over_zopes_own(topology: Topology) -> Iterator[Finding]:
    """Yield mount points where every Zope has an object of its own."""
    for instance in topology.instances:
        for mount in instance.mounts:
            for point in mount.points:
                if point.virtual[1:] in ZOPES_OWN:
                    yield warning(
                        "mount-point-taken",
                        point.place,
                        f"instance {instance.name}: mount point {point.virtual}",
                        why="Zope makes an object of this id at its first start, which would be "
                        "in the way",
                        hint="another mount point",
                    )


def folders_for_sandboxes(topology: Topology) -> Iterator[Finding]:
    """Yield folders for sandboxes that cannot be made, or not in the root."""
    for instance in topology.instances:
        path = instance.sandboxes
        if path is None:
            continue
        place = instance.place.of("sandboxes")
        what = f"instance {instance.name}: the folder for sandboxes, {path}"
        why = why_no_path(path) if path.startswith("/") else "it is no path"
        if why or path == "/":
            yield error("sandboxes-path", place, what, why=why or "it is the root", hint="/dev")
            continue
        for mount in instance.mounts:
            for point in mount.points:
                if not point.is_root and (path + "/").startswith(point.virtual + "/"):
                    yield error(
                        "sandboxes-mounted",
                        place,
                        f"{what}, lies in the mount of {mount.name}",
                        why="developers' work belongs into the root, not into a site's storage",
                        hint="another folder, or another mount point",
                    )


def ids_of_session_containers(topology: Topology) -> Iterator[Finding]:
    """Yield a session container that cannot have its id."""
    session = topology.session
    if session is not None:
        why = why_no_id(session.container) or ("it has a /" if "/" in session.container else "")
        if why:
            yield error(
                "session-container",
                session.place.of("container"),
                f"the session container cannot be called {session.container}",
                why=why,
                hint="session_data",
            )


RULES = (mount_points, mounts_over_zopes_own, folders_for_sandboxes, ids_of_session_containers)
