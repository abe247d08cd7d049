"""Changing the access rules of a root's objects (``plan/access_steps.py`` has the steps).

What a step sets is what ends up in the object: a permission's roles are a list where
they are acquired and a tuple where they are not.
"""

from zmount.agent.paths import NothingToDo, Refused, own

_GONE = object()
_USER_FOLDERS = ("OFS.userfolder.UserFolder", "AccessControl.userfolder.UserFolder")


def set_user(app, made, *, folder, user, password, **said):
    """Make USER in the user folder at FOLDER; also SAID are his roles and domains.

    The hash PASSWORD is kept as it is, as bytes or text, whichever SAID ``is_bytes`` tells.
    """
    from AccessControl.users import User

    users = _users(app, folder)
    if user in users:
        _must_leave_a_manager(app, folder, user, said["roles"])
    kept = password.encode("latin-1") if said["is_bytes"] else password
    users[user] = User(user, kept, said["roles"], said["domains"])


def remove_user(app, made, *, folder, user):
    """Remove USER from the user folder at FOLDER."""
    users = _users(app, folder)
    if user not in users:
        raise NothingToDo
    _must_leave_a_manager(app, folder, user, ())
    del users[user]


def set_roles(app, made, *, path, roles):
    """Let the object at PATH define ROLES, besides those of its class."""
    _set(_object(app, path), "__ac_roles__", None if roles is None else tuple(roles))


def set_proxy_roles(app, made, *, path, roles):
    """Let the object at PATH run with ROLES."""
    _set(_object(app, path), "_proxy_roles", None if roles is None else tuple(roles))


def set_local_roles(app, made, *, path, user, roles):
    """Give USER the local ROLES on the object at PATH."""
    found = _object(app, path)
    local = dict(vars(found).get("__ac_local_roles__") or {})
    if roles is None:
        local.pop(user, None)
    else:
        local[user] = list(roles)
    _set(found, "__ac_local_roles__", local or None)


def block_local_roles(app, made, *, path, is_blocked):
    """Let local roles from above PATH count, or not."""
    _set(_object(app, path), "__ac_local_roles_block__", is_blocked or None)


def set_permission(app, made, *, path, permission, roles, is_acquired):
    """Give PERMISSION on the object at PATH to ROLES."""
    value = None
    if roles is not None:
        value = list(roles) if is_acquired else tuple(roles)
    _set(_object(app, path), f"_{permission}_Permission", value)


def set_owner(app, made, *, path, user, folder):
    """Let USER of the user folder at FOLDER, a tuple of ids, own the object at PATH."""
    _set(_object(app, path), "_owner", None if user is None else (list(folder), user))


def set_access_rule(app, made, *, path, hook, priority, called):
    """Let Zope call CALLED, an object beside those in the folder at PATH."""
    from ZPublisher.BeforeTraverse import (
        NameCaller,
        registerBeforeTraverse,
        rewriteBeforeTraverse,
    )

    folder = _object(app, path)
    hooks = dict(vars(folder).get("__before_traverse__") or {})
    if called is None:
        if hooks.pop((priority, hook), None) is None:
            raise NothingToDo
        rewriteBeforeTraverse(folder, hooks)
        return
    if called not in folder.objectIds():
        raise Refused(f"{path} has no {called}, which the access rule would call")
    there = hooks.get((priority, hook))
    if isinstance(there, NameCaller) and there.name == called:
        raise NothingToDo
    registerBeforeTraverse(folder, NameCaller(called), hook, priority)


def _object(app, path):
    """Return what is at PATH in the root's own storage, without its context."""
    from Acquisition import aq_base

    here = app
    for name in [name for name in path.split("/") if name]:
        below = own(here, name) if hasattr(here, "objectIds") else None
        if below is None:
            raise Refused(f"there is no {name} on the way to {path}")
        here = below
    found = aq_base(here)
    if found._p_jar is not app._p_jar:
        raise Refused(f"{path} is not in the root's own storage")
    found._p_activate()
    return found


def _set(found, name, value):
    """Give the object FOUND the attribute NAME of its own; None: it has none."""
    there = vars(found).get(name, _GONE)
    if there is _GONE if value is None else there == value and type(there) is type(value):
        raise NothingToDo
    if value is None:
        delattr(found, name)
    else:
        setattr(found, name, value)
    found._p_changed = True


def _users(app, path):
    """Return the users of one of Zope's own user folders, by name."""
    folder = _object(app, path)
    if f"{type(folder).__module__}.{type(folder).__name__}" not in _USER_FOLDERS:
        raise Refused(f"{path} is not one of Zope's own user folders")
    return folder.data


def _must_leave_a_manager(app, path, user, roles):
    """Refuse to let USER have ROLES where nobody else is a Manager of the root."""
    others = [each for name, each in _users(app, path).items() if name != user]
    is_left = "Manager" in roles or any("Manager" in each.roles for each in others)
    if path == "/acl_users" and not is_left:
        raise Refused(f"{user} is the last Manager of the root")
