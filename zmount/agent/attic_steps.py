"""Moving objects to the attic (see ``attic``), back, and away for good."""

from zmount.agent.attic import attic_of, move_aside, must_be_movable
from zmount.agent.entries import attribute, base_of, parent_of, put, take
from zmount.agent.paths import NothingToDo, Refused, raw


def move_to_attic(app, made, *, path, reason):
    """Move what is at PATH to the attic; answer with the name of its folder there."""
    container, name = parent_of(app, path)
    there = raw(container, name)
    if there is None:
        raise NothingToDo
    must_be_movable(app, container, there, path)
    return move_aside(app, container, name, path=path, reason=reason)


def restore_from_attic(app, made, *, slot, path):
    """Put the only object of the attic's folder SLOT at PATH, where nothing is."""
    from ZODB.broken import Broken

    attic = attic_of(app)
    folder = None if attic is None else raw(attic, slot)
    if folder is None:
        raise Refused(f"there is no {slot} in the attic")
    folder._p_activate()
    (entry,) = folder._objects
    container, name = parent_of(app, path)
    if raw(container, name) is not None or name in base_of(container).objectIds():
        raise Refused(f"something is at {path} already")
    if container._p_jar is not app._p_jar:
        raise Refused(f"{path} lies in another database than the attic")
    there = raw(folder, entry["id"])
    if name != entry["id"]:
        if attribute(there, "_setId") is None or isinstance(there, Broken):
            raise Refused(f"it cannot be renamed from {entry['id']} to {name}: its class is gone")
        there._setId(name)
    take(folder, entry["id"])
    put(container, {**entry, "id": name}, there, folder.__dict__.get("_zmount_position"))
    take(attic, slot)


def drop_from_attic(app, made, *, slot):
    """Remove the attic's folder SLOT with all that is in it."""
    attic = attic_of(app)
    if attic is None or raw(attic, slot) is None:
        raise NothingToDo
    take(attic, slot)
