"""Taking a mount point off-line, and putting it back.

A folder stands in for the mount point and answers 503 at its path and below, whatever
the rest of the path is and whoever asks. It is made of Zope's own classes, so that a
Zope without zmount reads the root and answers the same.

The mounted object is never asked for: its storage may be the reason.
"""

from zmount.agent.entries import base_of
from zmount.agent.paths import NothingToDo, Refused, existing_folder, made_folder, raw

NOTE = "_zmount_offline"  # on the folder: when, why, by whom, and what it stands in for
HOOK = "zmount_offline"  # called before anything in the folder is published
PAGE = "standard_error_message"  # the folder's own: the root's is not asked
APP_HANDLE = "zmount"

# The status is locked: no error page of the root can make it 200.
ANSWER = """\
<dtml-call "RESPONSE.setStatus(503, lock=1)">\
<dtml-call "RESPONSE.setHeader('Retry-After', '%d')">\
<dtml-call "RESPONSE.setHeader('Cache-Control', 'no-store')">\
<dtml-raise type="HTTPServiceUnavailable">off-line</dtml-raise>"""


def take_offline(app, made, *, virtual, note, page, retry_after_s):
    """Let a folder that answers 503 stand in for what is at VIRTUAL.

    NOTE says since when, why, by whom and of which site; PAGE is what visitors read.
    """
    path, _, name = virtual.rpartition("/")
    container = made_folder(app, path)
    there = raw(container, name)
    if is_stand_in(there):
        raise NothingToDo
    entry = _entry(container, name)
    if there is None and entry is not None:
        raise Refused(f"{virtual} is listed, but cannot be reached in {path or '/'}")
    if there is not None and not getattr(there, "_isMountedObject", False):
        raise Refused(f"{virtual} is a {there.meta_type}, not a mount point")
    stand_in = _stand_in(name, page, retry_after_s)
    stand_in._zmount_offline = {**note, "mount_point": there, "entry": entry}
    container._p_jar.add(stand_in)
    _put(container, name, stand_in, {"id": name, "meta_type": stand_in.meta_type})
    remembered = dict(getattr(container, "_mount_points", None) or {})
    if remembered.pop(name, None) is not None:
        container._mount_points = remembered  # it is no mount point to Zope's status page


def put_online(app, made, *, virtual, database, makes_missing):
    """Put the very mount point back that a folder stands in for at VIRTUAL."""
    from Products.ZODBMountPoint.MountedObject import MountedObject, setMountPoint

    path, _, name = virtual.rpartition("/")
    container = existing_folder(app, path)
    there = raw(container, name)
    if getattr(there, "_isMountedObject", False):
        raise NothingToDo
    if not is_stand_in(there):
        raise Refused(f"{virtual} is not off-line")
    foreign = [each for each in there.objectIds() if each not in (HOOK, PAGE)]
    if foreign:
        raise Refused(f"{', '.join(foreign)} was put into {virtual} while it was off-line")
    mount = there._zmount_offline.get("mount_point")
    if mount is None or getattr(mount, "_path", None) != virtual:
        mount = MountedObject(virtual)
        mount._create_mount_points = makes_missing
        container._p_jar.add(mount)
    found = _mounted(mount, container, database)
    entry = there._zmount_offline.get("entry") or {"id": name, "meta_type": found.meta_type}
    _put(container, name, mount, entry)
    setMountPoint(container, name, mount)
    return found.meta_type


def is_stand_in(there):
    """True if THERE stands in for a mount point that is off-line."""
    return isinstance(getattr(there, NOTE, None), dict)


def _mounted(mount, container, database):
    """Return what MOUNT shows, or say why it shows nothing."""
    from ZODB.POSException import POSError

    makes, mount._create_mount_points = mount._create_mount_points, False
    try:
        mount._test(container)  # it makes nothing where the object is missing
        return mount.__of__(container)
    except (KeyError, AttributeError, POSError, OSError) as why:
        raise Refused(f"{database} does not show it: {type(why).__name__}: {why}") from None
    finally:
        mount._create_mount_points = makes


def _stand_in(name, page, retry_after_s):
    from OFS.DTMLMethod import DTMLMethod
    from OFS.Folder import Folder
    from ZPublisher.BeforeTraverse import NameCaller, registerBeforeTraverse

    folder = Folder(name)
    folder.title = "off-line"
    for own, text in ((HOOK, ANSWER % retry_after_s), (PAGE, page)):
        method = DTMLMethod(text, __name__=own)
        method.title = ""
        setattr(folder, own, method)
        folder._objects += ({"id": own, "meta_type": method.meta_type},)
    registerBeforeTraverse(folder, NameCaller(HOOK), APP_HANDLE)
    return folder


def _entry(container, name):
    """Return how CONTAINER lists NAME, or None."""
    return next((each for each in container._objects if each["id"] == name), None)


def _put(container, name, thing, entry):
    """Let CONTAINER have THING as NAME, in its old place, without an event for what goes."""
    base = base_of(container)
    if "_tree" in base.__dict__:  # of a BTreeFolder2, whose _setOb wants a free id
        if name in base._tree:
            base._tree[name] = thing
        else:
            base._setOb(name, thing)
        return
    listed = [each for each in container._objects if each["id"] != name]
    at = next((i for i, each in enumerate(container._objects) if each["id"] == name), len(listed))
    container._objects = (*listed[:at], entry, *listed[at:])
    container._setOb(name, thing)
