"""Make what is missing in an instance's root and mounted storages, inside Zope.

Runs by itself in the instance's virtual environment, which need not have
zmount:

    python prepare.py < plan.json > result.json

The plan is ``{"zope_conf": PATH, "note": TEXT, "steps": [STEP, ...]}``; a step's
``step`` names one of the functions below, its other keys are that function's
arguments. The result is ``{"done": [NUMBER, ...], "refused": [[NUMBER, WHY], ...]}``,
steps by their position; a step that is in neither had nothing to do. A refused
step found something else than planned and left it alone. All steps are one
transaction. Paths are never followed by acquisition, and a mount point is never
asked for an object before that object was seen in the mounted storage.
"""

import importlib
import json
import os
import sys


class Refused(Exception):
    """What is there is not what the plan was made for."""


class NothingToDo(Exception):
    """What the step makes is there."""


def main():
    """Carry out the plan on stdin."""
    plan = json.load(sys.stdin)
    # Products print what they like: stdout is for the result alone.
    result = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    json.dump(prepare(plan), result)
    result.close()


def prepare(plan):
    """Carry out PLAN in its instance and return the result."""
    import transaction
    import Zope2
    from AccessControl.SecurityManagement import newSecurityManager
    from AccessControl.users import system
    from Zope2.Startup.run import make_wsgi_app

    make_wsgi_app({}, plan["zope_conf"])
    app = Zope2.app()
    databases = dict(app._p_jar.db().databases)
    done, refused = [], []
    try:
        newSecurityManager(None, system)
        made = set()
        for number, step in enumerate(plan["steps"]):
            arguments = dict(step)
            make = STEPS[arguments.pop("step")]
            try:
                make(app, made, **arguments)
                done.append(number)
            except NothingToDo:
                pass
            except Refused as why:
                refused.append([number, str(why)])
        transaction.get().note(plan["note"])
        transaction.commit()
    finally:
        transaction.abort()
        app._p_jar.close()
        for database in databases.values():
            database.close()  # saves the index of each FileStorage
    return {"done": done, "refused": refused}


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
            _construct(folder, name, kind if name == names[-1] else Folder)
        folder = folder._getOb(name)


def _must_hold(folder, real):
    for name in [name for name in real.split("/") if name]:
        if _raw(folder, name) is None:
            held = ", ".join(list(folder.objectIds())[:10])
            raise Refused(f"the storage holds {held} and nothing at {name}")
        folder = folder._getOb(name)


def make_mount_point(app, made, *, virtual, database, makes_missing):
    """Make the mount point at VIRTUAL, with the folders above it."""
    from OFS.Folder import Folder
    from Products.ZODBMountPoint.MountedObject import MountedObject, setMountPoint

    container = made_folder(app, virtual.rpartition("/")[0])
    mount = MountedObject(virtual)
    mount._create_mount_points = makes_missing
    there = _raw(container, mount.id)
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
    container._setOb(mount.id, mount)
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
    if _own(folder, container) is not None:
        raise NothingToDo
    constructTransientObjectContainer(
        folder, container, title="Sessions", timeout_mins=timeout_minutes, limit=max_objects
    )


def point_sessions(app, made, *, path):
    """Let the root's session data manager keep sessions at PATH."""
    manager = _own(app, "session_data_manager")
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


STEPS = {
    make.__name__: make
    for make in (
        make_content,
        make_mount_point,
        mend_mount_point,
        stop_making,
        make_sandboxes,
        make_session_container,
        point_sessions,
        make_administrator,
    )
}


def existing_folder(app, path):
    """Return the object at PATH; mounts are followed, acquisition is not."""
    return _walk(app, path, make=False)


def made_folder(app, path):
    """Return the folder at PATH; what is missing of it is made of plain folders."""
    return _walk(app, path, make=True)


def mount_point(app, virtual):
    """Return the folder of the mount point at VIRTUAL, and the mount point itself."""
    path, _, name = virtual.rpartition("/")
    container = existing_folder(app, path)
    mount = _raw(container, name)
    if not getattr(mount, "_isMountedObject", False):
        raise Refused(f"there is no mount point at {virtual}")
    return container, mount


def named(dotted):
    """Return the class DOTTED.

    Imported here: what Zope's class factory makes of an unknown class is broken.
    """
    module, _, name = dotted.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as why:
        raise Refused(f"container class {dotted}: {why}") from None


def _walk(app, path, make):
    from OFS.Folder import Folder

    here = app
    for name in [name for name in path.split("/") if name]:
        below = _own(here, name)
        if below is None:
            if not make:
                raise Refused(f"there is no {name} on the way to {path}")
            _construct(here, name, Folder)
            below = _own(here, name)
        if getattr(below, "_isMountedObject", False):
            kind, why = below._v_connect_error[:2]
            raise Refused(f"{name} on the way to {path} is not mounted: {kind.__name__}: {why}")
        if below.getPhysicalPath() != (*here.getPhysicalPath(), name):
            raise Refused(f"{name} on the way to {path} says to be at {below.getPhysicalPath()}")
        here = below
    if not hasattr(here, "_setObject"):
        raise Refused(f"{path} is a {here.meta_type}, not a folder")
    return here


def _own(container, name):
    """Return what CONTAINER itself holds as NAME, in its context, or None."""
    from Acquisition import aq_base

    is_there = _raw(container, name) is not None or name in aq_base(container).objectIds()
    return container._getOb(name) if is_there else None


def _raw(container, name):
    """Return what is stored under NAME, not what a mount point there stands for."""
    from Acquisition import aq_base

    base = aq_base(container)
    base._p_activate()
    found = base.__dict__.get(name)
    tree = base.__dict__.get("_tree")
    return tree.get(name) if found is None and tree is not None else found


def _construct(container, name, factory):
    """Add an object of FACTORY to CONTAINER, and to CONTAINER's database."""
    from Acquisition import aq_base

    try:
        new = factory(name)
    except TypeError:
        new = factory()
    new._setId(name)
    if not hasattr(container, "_setObject"):
        raise Refused(f"{container.getId()} is a {container.meta_type}, not a folder")
    container._p_jar.add(aq_base(new))
    container._setObject(name, new, set_owner=0)


if __name__ == "__main__":
    main()
