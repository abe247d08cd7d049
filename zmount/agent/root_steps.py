"""What zmount makes in an instance's root and in the storages that it mounts.

A mount point is never asked for an object before that object was seen in the
mounted storage.
"""

from zmount.agent.paths import (
    NothingToDo,
    Refused,
    construct,
    existing_folder,
    made_folder,
    mount_point,
    named,
    own,
    raw,
)


def make_content(app, made, *, database, root, real, container_class):
    """Make the object at REAL in DATABASE, which holds nothing, and its parents.

    MADE remembers where this run made the Application: the storage may be
    mounted in several places.
    """
    from OFS.Application import Application
    from OFS.Folder import Folder

    kind = named(container_class)
    connection = app._p_jar.get_connection(database)
    roots = connection.root()
    if root not in roots:
        if list(roots):
            raise Refused("the storage holds " + ", ".join(map(str, roots)))
        roots[root] = Application()
        connection.add(roots[root])
        made.add((database, root))
    elif (database, root) not in made:
        _must_hold(roots[root], real)
        raise NothingToDo
    folder = roots[root]
    names = [name for name in real.split("/") if name]
    for name in names:
        if name not in folder.objectIds():
            construct(folder, name, kind if name == names[-1] else Folder)
        folder = folder._getOb(name)


def _must_hold(folder, real):
    for name in [name for name in real.split("/") if name]:
        if raw(folder, name) is None:
            held = ", ".join(list(folder.objectIds())[:10])
            raise Refused(f"the storage holds {held} and nothing at {name}")
        folder = folder._getOb(name)


def make_mount_point(app, made, *, virtual, database, makes_missing):
    """Make the mount point at VIRTUAL, with the folders above it."""
    from Acquisition import aq_base
    from OFS.Folder import Folder
    from Products.ZODBMountPoint.MountedObject import MountedObject, setMountPoint

    container = made_folder(app, virtual.rpartition("/")[0])
    mount = MountedObject(virtual)
    mount._create_mount_points = makes_missing
    there = raw(container, mount.id)
    if there is not None:
        if getattr(there, "_path", None) == virtual:
            raise NothingToDo
        raise Refused(f"something is at {virtual} already")
    try:
        mount._test(container)
    except (KeyError, AttributeError) as why:
        raise Refused(f"{database} has no object for it: {why}") from None
    container._p_jar.add(mount)
    # As Products.ZODBMountPoint does it: a stand-in is added, so that no event
    # reaches the mounted object, and the mount point takes its place.
    stand_in = Folder()
    stand_in.id = mount.id
    stand_in.meta_type = mount.__of__(container).meta_type
    container._setObject(mount.id, stand_in, set_owner=0)
    base = aq_base(container)
    if "_tree" in base.__dict__:  # of a BTreeFolder2, whose _setOb wants a free id
        base._tree[mount.id] = mount
    else:
        base._setOb(mount.id, mount)
    setMountPoint(container, mount.id, mount)


def mend_mount_point(app, made, *, virtual):
    """Let the folder of the mount point at VIRTUAL list and remember it."""
    from Products.ZODBMountPoint.MountedObject import setMountPoint

    container, mount = mount_point(app, virtual)
    if mount.id not in container.objectIds():
        entry = {"id": mount.id, "meta_type": mount.__of__(container).meta_type}
        container._objects = (*container._objects, entry)
    setMountPoint(container, mount.id, mount)


def stop_making(app, made, *, virtual):
    """Keep the mount point at VIRTUAL from making an empty object of a wrong path."""
    mount = mount_point(app, virtual)[1]
    if not mount._create_mount_points:
        raise NothingToDo
    mount._create_mount_points = False


def make_sandboxes(app, made, *, path, permissions):
    """Make the folder at PATH, where owners of its folders may change what is theirs."""
    try:
        existing_folder(app, path)
    except Refused:
        folder = made_folder(app, path)
    else:
        raise NothingToDo
    known = {name for name, *_ in folder.ac_inherited_permissions(1)}
    for permission in permissions:
        if permission in known:
            folder.manage_permission(permission, ["Manager", "Owner"], 1)


def make_session_container(app, made, *, path, container, timeout_minutes, max_objects):
    """Make the transient object container in the folder at PATH."""
    from Products.Transience.Transience import constructTransientObjectContainer

    folder = existing_folder(app, path)
    if own(folder, container) is not None:
        raise NothingToDo
    constructTransientObjectContainer(
        folder, container, title="Sessions", timeout_mins=timeout_minutes, limit=max_objects
    )


def point_sessions(app, made, *, path):
    """Let the root's session data manager keep sessions at PATH."""
    manager = own(app, "session_data_manager")
    if manager is None:
        raise Refused("the root has no session_data_manager: is Products.Sessions installed?")
    if manager.getContainerPath() == path:
        raise NothingToDo
    manager.setContainerPath(path)


def make_administrator(app, made, *, user, password):
    """Make a Manager of the root, which has no user."""
    if app.acl_users.getUserNames():  # an inituser file may just have made one
        raise NothingToDo
    app.acl_users._doAddUser(user, password, ["Manager"], [])
