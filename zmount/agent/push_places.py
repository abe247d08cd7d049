"""Where objects are copied from and to: found without acquisition, mounts are followed."""

from zmount.agent.attic import ATTIC
from zmount.agent.entries import attribute, base_of
from zmount.agent.paths import Refused, raw


class Place:
    """A path: the folder that its object lies in, in its context, and the object or None.

    ``above`` are the oids of what lies above the object in the object's own database.
    """

    def __init__(self, container, name, there, path, above):
        self.container, self.name, self.there = container, name, there
        self.path, self.above = path, above
        self.jar = container._p_jar


def place_at(app, path):
    """Return the place PATH, which must be in a folder and no mount point."""
    names = path.strip("/").split("/")
    if names[0] == ATTIC:
        raise Refused(f"{path} is in the attic: zmount attic --restore takes it out")
    here, walked, above = app, "", [app._p_oid]
    for name in names[:-1]:
        walked += "/" + name
        below = held(here, name, walked)
        if below is None:
            raise Refused(f"there is no {walked}")
        if below._p_jar is not here._p_jar:
            above = _above_mounted(below)
        above.append(below._p_oid)
        here = below
    if not hasattr(base_of(here), "_setObject"):
        raise Refused(f"{walked} is a {here.meta_type}, not a folder")
    there = held(here, names[-1], path)
    if there is not None and there._p_jar is not here._p_jar:
        raise Refused(f"{path} is a mount point: objects below it can be copied, not the site")
    return Place(here, names[-1], there, path, above)


def held(container, name, path):
    """Return what CONTAINER shows as NAME, at PATH, in its context; None: nothing."""
    base = base_of(container)
    tree = base.__dict__.get("_tree")
    entries = base.__dict__.get("_objects", getattr(base, "_objects", ()))
    if not (tree is not None and name in tree) and not any(e["id"] == name for e in entries):
        return None
    stored = raw(container, name)
    if attribute(stored, "_zmount_offline"):
        raise Refused(f"{path} is off-line")
    found = container._getOb(name)
    if attribute(base_of(found), "_isMountedObject"):
        kind, why = found._v_connect_error[:2]
        raise Refused(f"{path} is not mounted: {kind.__name__}: {why}")
    return found


def in_own_root(place, root, real):
    """Return the container of PLACE as its own storage sees it, where it is at REAL.

    Its paths, and those that its catalog knows, are those of an instance that shows the
    storage as it is: the public's, not of one that mounts it elsewhere.
    """
    from Acquisition import aq_base, aq_parent

    top = place.jar.root().get(root)
    if top is None or not hasattr(aq_base(top), "getPhysicalPath"):
        return place.container
    here = aq_base(top)
    request = aq_parent(place.container.getPhysicalRoot())
    if request is not None:
        here = here.__of__(request)
    for name in [name for name in real.split("/")[:-1] if name]:
        here = held(here, name, real)
        if here is None:
            raise Refused(f"{place.path} is not at {real} of its storage")
    if aq_base(here) is not aq_base(place.container):
        raise Refused(f"{place.path} is not what its storage has at {real}")
    return here


def _above_mounted(mounted):
    """Return the oids of the roots of the database that MOUNTED lies in."""
    from ZODB.utils import z64

    roots = mounted._p_jar.root()
    oids = [getattr(each, "_p_oid", None) for each in roots.values()]
    return [z64, *(oid for oid in oids if oid is not None and oid != mounted._p_oid)]
