"""What can be changed in the access rules of a root (``agent/access_steps.py`` does it).

None in a step means that the object shall have no such rule of its own. No step holds
a password or its hash.
"""

from __future__ import annotations

from dataclasses import dataclass

from zmount.plan.root_steps import RootStep


@dataclass(frozen=True, slots=True, kw_only=True)
class SetUser(RootStep):
    """Make a user, or change one; the hash of the password is added where it is done."""

    name = "set_user"
    folder: str
    user: str
    roles: tuple[str, ...]
    domains: tuple[str, ...]

    def __str__(self) -> str:
        roles = ", ".join(self.roles) or "no role"
        return f"{self.folder}: set user {self.user} with {roles}, and his password's hash"


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveUser(RootStep):
    """Remove a user."""

    name = "remove_user"
    folder: str
    user: str

    def __str__(self) -> str:
        return f"{self.folder}: remove user {self.user}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRoles(RootStep):
    """Say which roles an object defines."""

    name = "set_roles"
    path: str
    roles: tuple[str, ...] | None

    def __str__(self) -> str:
        return f"{self.path}: {_said(self.roles, 'define', 'roles')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetProxyRoles(RootStep):
    """Say which roles an object runs with."""

    name = "set_proxy_roles"
    path: str
    roles: tuple[str, ...] | None

    def __str__(self) -> str:
        return f"{self.path}: {_said(self.roles, 'run with', 'proxy roles')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLocalRoles(RootStep):
    """Say which roles a user has on an object and below it."""

    name = "set_local_roles"
    path: str
    user: str
    roles: tuple[str, ...] | None

    def __str__(self) -> str:
        return f"{self.path}: {_said(self.roles, f'give {self.user}', f'roles of {self.user}')}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockLocalRoles(RootStep):
    """Say whether local roles from above count."""

    name = "block_local_roles"
    path: str
    is_blocked: bool

    def __str__(self) -> str:
        return f"{self.path}: local roles from above {'do not ' if self.is_blocked else ''}count"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPermission(RootStep):
    """Say who has a permission, written as its attribute is: words with ``_`` between them."""

    name = "set_permission"
    path: str
    permission: str
    roles: tuple[str, ...] | None
    is_acquired: bool

    def __str__(self) -> str:
        words = self.permission.replace("_", " ")
        how = "" if self.roles is None else f", {'' if self.is_acquired else 'not '}acquired"
        return f"{self.path}: {_said(self.roles, f'give {words} to', words)}{how}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetOwner(RootStep):
    """Say who owns an object: a user, and the path of his user folder."""

    name = "set_owner"
    path: str
    user: str | None
    folder: tuple[str, ...]

    def __str__(self) -> str:
        if self.user is None:
            return f"{self.path}: no owner of its own"
        return f"{self.path}: owned by {self.user} of /{'/'.join(self.folder)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAccessRule(RootStep):
    """Let Zope call an object of a folder before it goes below it; None: call none."""

    name = "set_access_rule"
    path: str
    hook: str
    priority: int
    called: str | None

    def __str__(self) -> str:
        if self.called is None:
            return f"{self.path}: no access rule {self.hook}"
        return f"{self.path}: access rule {self.hook} calls {self.called}"


def _said(roles: tuple[str, ...] | None, verb: str, what: str) -> str:
    if roles is None:
        return f"no {what} of its own"
    return f"{verb} {', '.join(roles) or 'nobody'}"
