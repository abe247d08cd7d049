"""Sandboxes: folders of a root that one user owns and other developers may copy from.

They lie in one folder, ``/dev`` say: ``/dev/USER``, and below it one for each site. Who
owns one has the local role Owner there; all who have one have a local role of their own in
``/dev``, which may look and copy.
"""

from zmount.agent.paths import NothingToDo, Refused, construct, existing_folder, own
from zmount.agent.root_steps import make_sandboxes

_OWN_FOLDERS = ("OFS.userfolder.UserFolder", "AccessControl.userfolder.UserFolder")


def add_sandbox(app, made, *, path, user, sites, **said):
    """Let USER have a sandbox for each of SITES in the folder at PATH.

    The user is made with the SAID ``password``, without roles in the root, if there is
    none. ``owner_may`` are the permissions of owners in the folder, ``role_may`` those of
    the ``role`` of all developers. Answers what was made: paths, and whether the user was.
    """
    role, password = said["role"], said["password"]
    is_new_user = _is_missing(app, user)
    _must_fit(app, path, user, sites)
    if is_new_user and not password:
        kind = app.acl_users.meta_type
        raise Refused(f"there is no user {user} in acl_users, a {kind}: make the user there")
    if is_new_user:
        app.acl_users._doAddUser(user, password, [], [])
    _make_folder_of_all(app, made, path, said)
    folder = existing_folder(app, path)
    local = dict(folder.get_local_roles()).get(user, ())
    if role not in local:
        folder.manage_setLocalRoles(user, [*local, role])
    paths = []
    for below in ("", *sites):
        folder_path = f"{path}/{user}/{below}".rstrip("/")
        if _make_owned(app, folder_path, user):
            paths.append(folder_path)
    return {"is_new_user": is_new_user, "paths": paths}


def end_sandboxes(app, made, *, path, user):
    """Take all local roles in the folder at PATH from USER, who has no sandbox there any more."""
    folder = existing_folder(app, path)
    if user not in dict(folder.get_local_roles()):
        raise NothingToDo
    folder.manage_delLocalRoles([user])


def remove_sandbox_user(app, made, *, user):
    """Remove USER, who has no roles in the root."""
    from Acquisition import aq_base

    if _is_missing(app, user):
        raise NothingToDo
    users = aq_base(app.acl_users)
    if f"{type(users).__module__}.{type(users).__name__}" not in _OWN_FOLDERS:
        raise Refused("the root's acl_users is not one of Zope's own user folders")
    if users.data[user].roles:
        raise Refused(f"{user} has roles in the root: {', '.join(users.data[user].roles)}")
    del users.data[user]


def _is_missing(app, user):
    """True if the root knows no USER and one can be made."""
    users = app.acl_users
    if users.getUser(user) is not None:
        return False
    emergency = getattr(users, "_emergency_user", None)
    if emergency is not None and emergency.getUserName() == user:
        raise Refused(f"{user} is the emergency user")
    if not hasattr(users, "_doAddUser"):
        raise Refused(f"acl_users, a {users.meta_type}, has no {user}: make the user there")
    return True


def _must_fit(app, path, user, sites):
    """Refuse what cannot be made, before anything is."""
    try:
        folder = existing_folder(app, path)
    except Refused:
        return  # it is made
    if folder._p_jar is not app._p_jar:
        raise Refused(f"{path} lies in a mounted storage")
    of_user = _owned_or_none(folder, user, user, path)
    for site in sites if of_user is not None else ():
        _owned_or_none(of_user, site, user, f"{path}/{user}")


def _owned_or_none(folder, name, user, path):
    """Return the folder NAME, which is USER's, in FOLDER at PATH; None: it can be made."""
    from zExceptions import BadRequest

    below = own(folder, name)
    if below is None:
        try:
            folder._checkId(name)
        except BadRequest as why:
            raise Refused(str(why)) from None
        return None
    if not hasattr(below, "_setObject") or below._p_jar is not folder._p_jar:
        raise Refused(f"something is at {path}/{name} that is no folder of the root's own")
    owner = below.getOwnerTuple()
    if owner is None or owner[1] != user:
        raise Refused(f"{path}/{name} belongs to {owner[1] if owner else 'nobody'}, not to {user}")
    return below


def _make_folder_of_all(app, made, path, said):
    """Make the folder of all sandboxes, and the role in it that all developers have.

    Afterwards it is the administrator's: what he takes from the role stays taken.
    """
    role, owner_may, role_may = said["role"], said["owner_may"], said["role_may"]
    try:
        make_sandboxes(app, made, path=path, permissions=owner_may)
    except NothingToDo:
        pass
    folder = existing_folder(app, path)
    if role in folder.__ac_roles__:
        return
    folder._addRole(role)
    known = {name for name, *_ in folder.ac_inherited_permissions(1)}
    for permission in known & {*owner_may, *role_may}:
        roles = _explicit_roles(folder, permission)
        wanted = [role] if permission in role_may else []
        if roles is None and permission in owner_may:
            wanted += ["Manager", "Owner"]
        if wanted:
            is_acquired = roles is None or isinstance(roles, list)
            folder.manage_permission(permission, [*(roles or ()), *wanted], is_acquired)


def _explicit_roles(folder, permission):
    """Return what FOLDER itself says of PERMISSION, None if nothing."""
    from AccessControl.Permission import getPermissionIdentifier
    from Acquisition import aq_base

    return vars(aq_base(folder)).get(getPermissionIdentifier(permission))


def _make_owned(app, path, user):
    """Make the folder at PATH, owned by USER; False if it is there."""
    from OFS.Folder import Folder

    parent, _, name = path.rpartition("/")
    container = existing_folder(app, parent)
    if own(container, name) is not None:
        return False
    construct(container, name, Folder)
    folder = container._getOb(name)
    folder._owner = (["acl_users"], user)
    folder.manage_setLocalRoles(user, ["Owner"])
    return True
