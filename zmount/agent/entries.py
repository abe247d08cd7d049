"""What folders hold, taken out and put in by the folders' own attributes.

Nothing of what is moved is called and no event is sent, so that objects whose class is
gone move like any other.
"""

from zmount.agent.paths import existing_folder, raw


def parent_of(app, path):
    """Return the folder that PATH's object lies in or would, and its id."""
    parent, _, name = path.rpartition("/")
    return existing_folder(app, parent), name


def take(container, name):
    """Take what CONTAINER holds as NAME out of it, by its attributes.

    Returns the object, its entry in the list of objects and its place there (None
    where there is no order).
    """
    base = base_of(container)
    there = raw(container, name)
    if there is base.__dict__.get(name):
        delattr(base, name)
        entries = [each for each in base._objects if each["id"] == name]
        position = base._objects.index(entries[0]) if entries else None
        base._objects = tuple(each for each in base._objects if each["id"] != name)
        entry = entries[0] if entries else {"id": name, "meta_type": _meta_type(there)}
    else:
        base._delOb(name)  # of a BTreeFolder2: its tree, count and index alone
        entry, position = {"id": name, "meta_type": _meta_type(there)}, None
    remembered = base.__dict__.get("_mount_points")
    if remembered and name in remembered:
        del remembered[name]
        base._p_changed = True
    return there, entry, position


def put(container, entry, there, position):
    """Let CONTAINER hold THERE, at the POSITION that it had, else at the end."""
    base = base_of(container)
    if "_tree" in base.__dict__:
        base._setOb(entry["id"], there)
        return
    entries = list(base._objects)
    entries.insert(len(entries) if position is None else position, entry)
    base._objects = tuple(entries)
    setattr(base, entry["id"], there)


def attribute(there, name):
    """Return an attribute of THERE, None where it has none or its record is lost."""
    from ZODB.POSException import POSKeyError

    try:
        return getattr(there, name, None)
    except POSKeyError:
        return None


def _meta_type(there):
    return attribute(there, "meta_type") or type(there).__name__


def base_of(container):
    from Acquisition import aq_base

    base = aq_base(container)
    base._p_activate()
    return base
