"""What zmount repairs at mount points. Mounted storages are only read.

Each step looks first whether all of it can be done: a refused one has done nothing.
"""

from zmount.agent.attic import move_aside, must_be_movable
from zmount.agent.entries import attribute, parent_of, take
from zmount.agent.paths import NothingToDo, Refused, mount_point, raw
from zmount.agent.root_steps import make_mount_point, mend_mount_point


def replace_by_mount_point(app, made, *, virtual, database, makes_missing, reason):
    """Move what is in the way of the mount point at VIRTUAL to the attic, and make that."""
    container, name = parent_of(app, virtual)
    there = raw(container, name)
    if there is None:
        raise Refused(f"nothing is at {virtual} any more")
    if attribute(there, "_isMountedObject") and there._path == virtual:
        raise NothingToDo
    must_be_movable(app, container, there, virtual)
    _must_connect(container, virtual, database, makes_missing)
    slot = move_aside(app, container, name, path=virtual, reason=reason)
    make_mount_point(app, made, virtual=virtual, database=database, makes_missing=makes_missing)
    return slot


def replace_reference(app, made, *, virtual, database, oid):
    """Put the mount point at VIRTUAL where a reference to what it shows stands."""
    container, name = parent_of(app, virtual)
    there = raw(container, name)
    if attribute(there, "_isMountedObject") and there._path == virtual:
        raise NothingToDo
    remove_reference(app, made, path=virtual, virtual=virtual, database=database, oid=oid)
    make_mount_point(app, made, virtual=virtual, database=database, makes_missing=False)


def remove_reference(app, made, *, path, virtual, database, oid):
    """Remove the reference at PATH to the object that is mounted at VIRTUAL."""
    container, name = parent_of(app, path)
    if raw(container, name) is None:
        raise NothingToDo
    _must_refer(container, name, database, oid)
    shown = _must_connect(container, virtual, database, makes_missing=False)
    if shown._p_oid != bytes.fromhex(oid):
        raise Refused(f"the reference at {path} is to another object than {virtual} shows")
    take(container, name)


def set_mount_path(app, made, *, virtual):
    """Let the mount point that stands at VIRTUAL, and was made for elsewhere, know it."""
    container, name = parent_of(app, virtual)
    mount = raw(container, name)
    if not attribute(mount, "_isMountedObject"):
        raise Refused(f"there is no mount point at {virtual}")
    if mount._path == virtual:
        raise NothingToDo
    if container._p_jar is not app._p_jar:
        raise Refused(f"{virtual} lies in a mounted storage, which is never written to")
    _must_connect(container, virtual, None, makes_missing=False)
    mount._path, mount.id = virtual, name
    mount._create_mount_points = False
    mount._v_data = mount._v_mount_params = None  # of what it showed before
    mend_mount_point(app, made, virtual=virtual)


def seen_at(app, made, *, virtual):
    """Answer what the mount point at VIRTUAL shows here: database, oid, id and path."""
    from Acquisition import aq_base

    container, mount = mount_point(app, virtual)
    shown = mount.__of__(container)
    if aq_base(shown) is mount:
        kind, why = mount._v_connect_error[:2]
        raise Refused(f"{virtual} is not mounted: {kind.__name__}: {why}")
    return {
        "database": shown._p_jar.db().database_name,
        "oid": shown._p_oid.hex(),
        "path": "/".join(shown.getPhysicalPath()),
    }


def _must_refer(container, name, database, oid):
    there = raw(container, name)
    jar = getattr(there, "_p_jar", None)
    if jar is None or jar is container._p_jar:
        raise Refused(f"there is no reference into another database at {name}")
    if (jar.db().database_name, there._p_oid) != (database, bytes.fromhex(oid)):
        raise Refused(f"the reference at {name} is not the one that was seen")


def _must_connect(container, virtual, database, makes_missing):
    """Return the object that a mount point at VIRTUAL shows."""
    from Acquisition import aq_base
    from Products.ZODBMountPoint.MountedObject import MountedObject
    from zExceptions import NotFound
    from ZODB.POSException import POSError

    mount = MountedObject(virtual)
    mount._create_mount_points = makes_missing
    try:
        shown = mount._getMountedConnection(container._p_jar)
        name = shown.db().database_name
        shown = mount._traverseToMountedRoot(shown.root(), container)
    except (KeyError, AttributeError, NotFound, POSError, OSError) as why:
        shown = f"{type(why).__name__}: {why}"
        raise Refused(f"{database or virtual} does not show it: {shown}") from None
    if database is not None and name != database:
        raise Refused(f"{virtual} is a mount point of {name} here, not of {database}")
    return aq_base(shown)
