"""Walking an instance's objects from inside Zope, without acquisition."""

import importlib


class Refused(Exception):
    """What is there is not what the plan was made for."""


class NothingToDo(Exception):
    """What the step makes is there."""


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
    mount = raw(container, name)
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
        below = own(here, name)
        if below is None:
            if not make:
                raise Refused(f"there is no {name} on the way to {path}")
            construct(here, name, Folder)
            below = own(here, name)
        if getattr(below, "_isMountedObject", False):
            kind, why = below._v_connect_error[:2]
            raise Refused(f"{name} on the way to {path} is not mounted: {kind.__name__}: {why}")
        if below.getPhysicalPath() != (*here.getPhysicalPath(), name):
            raise Refused(f"{name} on the way to {path} says to be at {below.getPhysicalPath()}")
        here = below
    if not hasattr(here, "_setObject"):
        raise Refused(f"{path} is a {here.meta_type}, not a folder")
    return here


def own(container, name):
    """Return what CONTAINER itself holds as NAME, in its context, or None."""
    from Acquisition import aq_base

    is_there = raw(container, name) is not None or name in aq_base(container).objectIds()
    return container._getOb(name) if is_there else None


def raw(container, name):
    """Return what is stored under NAME, not what a mount point there stands for."""
    from Acquisition import aq_base

    base = aq_base(container)
    base._p_activate()
    found = base.__dict__.get(name)
    tree = base.__dict__.get("_tree")
    return tree.get(name) if found is None and tree is not None else found


def construct(container, name, factory):
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
