"""The attic: a folder of the root for what is moved aside, that only managers see.

Each object has a folder of its own there, named ID.TIME, which says where it was, since
when it is here and why.
"""

import time

from zmount.agent.entries import attribute, put, take
from zmount.agent.paths import Refused, raw

ATTIC = "zmount_attic"
TITLE = "Moved aside by zmount"
FOR_MANAGERS = (
    "Access contents information",
    "Copy or Move",
    "Delete objects",
    "FTP access",
    "List folder contents",
    "View",
    "View management screens",
    "WebDAV access",
)


def must_be_movable(app, container, there, path):
    """Refuse what must not be moved: it is elsewhere, off-line or shows another database."""
    jar = app._p_jar
    if container._p_jar is not jar:
        raise Refused(f"{path} lies in a mounted storage, which is never written to")
    if (getattr(there, "_p_jar", None) or jar) is not jar:
        raise Refused(f"a reference into another database is at {path}")
    if path == "/" + ATTIC or path.startswith(f"/{ATTIC}/"):
        raise Refused("it is in the attic already")
    if attribute(there, "_isMountedObject"):
        raise Refused(f"a mount point is at {path}")
    if attribute(there, "_zmount_offline"):
        raise Refused(f"{path} is off-line")


def move_aside(app, container, name, *, path, reason):
    """Move what CONTAINER holds as NAME to the attic; return its folder's name."""
    from OFS.Folder import Folder

    attic = _made_attic(app)
    now = time.gmtime()
    slot = first = f"{name}.{time.strftime('%Y%m%dT%H%M%SZ', now)}"
    number = 1
    while raw(attic, slot) is not None:
        number += 1
        slot = f"{first}.{number}"
    there, entry, position = take(container, name)
    folder = Folder(slot)
    folder.title = path
    for key, value in (
        ("original_path", path),
        ("moved_at", time.strftime("%Y-%m-%dT%H:%M:%SZ", now)),
        ("reason", reason),
    ):
        folder._setProperty(key, value)
    if position is not None:
        folder._zmount_position = position
    put(folder, entry, there, None)
    put(attic, {"id": slot, "meta_type": folder.meta_type}, folder, None)
    return slot


def attic_of(app):
    attic = raw(app, ATTIC)
    if attic is not None and not getattr(attic, "_zmount_is_attic", False):
        raise Refused(f"/{ATTIC} is not zmount's: something else is there")
    return attic


def _made_attic(app):
    from OFS.Folder import Folder

    attic = attic_of(app)
    if attic is None:
        attic = Folder(ATTIC)
        attic.title = TITLE
        attic._zmount_is_attic = True
        put(app, {"id": ATTIC, "meta_type": attic.meta_type}, attic, None)
        known = {name for name, *_ in attic.__of__(app).ac_inherited_permissions(1)}
        for permission in FOR_MANAGERS:
            if permission in known:
                attic.__of__(app).manage_permission(permission, ["Manager"], 0)
    return attic
