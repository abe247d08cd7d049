"""Who may do what, as a root's objects say it: values to show, compare and copy.

No hash of a password is ever shown: a user's rule tells its scheme, and holds the hash
as a :class:`Secret` for who copies it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from zmount.topology.options import Secret

What = Literal[
    "user folder",
    "user",
    "roles",
    "local roles",
    "local roles block",
    "permission",
    "owner",
    "proxy roles",
    "access rule",
]


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Which rule of an object: ``name`` is a user's, a permission's, a hook's, or ""."""

    what: What
    name: str = ""

    def __str__(self) -> str:
        return f"{self.what} {self.name}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user of one of Zope's own user folders.

    ``scheme`` is what kind of hash ``password`` is; two hashes of one password differ,
    so they are no part of what is compared. ``is_bytes``: it is stored as bytes.
    """

    roles: tuple[str, ...]
    domains: tuple[str, ...]
    scheme: str
    password: Secret | None
    is_bytes: bool = False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, User) and self.as_json() == other.as_json()

    def __hash__(self) -> int:
        return hash((self.roles, self.domains, self.scheme))

    def __str__(self) -> str:
        domains = f", only from {' '.join(self.domains)}" if self.domains else ""
        return f"{_listed(self.roles)}{domains}; password: {self.scheme}"

    def as_json(self) -> dict[str, Any]:
        """Return the rule as plain values, without the hash."""
        return {"roles": list(self.roles), "domains": list(self.domains), "password": self.scheme}


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Who has a permission, besides those who have it further up where it is acquired."""

    roles: tuple[str, ...]
    is_acquired: bool

    def __str__(self) -> str:
        return f"{_listed(self.roles)}, {'acquired' if self.is_acquired else 'not acquired'}"

    def as_json(self) -> dict[str, Any]:
        """Return the rule as plain values."""
        return {"roles": list(self.roles), "acquired": self.is_acquired}


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """Roles that an object defines, gives to a user of it, or runs with."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return _listed(self.names)

    def as_json(self) -> dict[str, Any]:
        """Return the rule as plain values."""
        return {"roles": list(self.names)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Who owns an object: a user, and the path of his user folder."""

    user: str
    folder: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.user} of /{'/'.join(self.folder)}"

    def as_json(self) -> dict[str, Any]:
        """Return the rule as plain values."""
        return {"user": self.user, "user_folder": "/" + "/".join(self.folder)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """An object that Zope calls before it goes below the folder: an access rule."""

    called: str

    def __str__(self) -> str:
        return f"calls {self.called}"

    def as_json(self) -> dict[str, Any]:
        """Return the rule as plain values."""
        return {"calls": self.called}


@dataclass(frozen=True, slots=True, kw_only=True)
class Other:
    """Something that is compared by what it looks like, and never copied."""

    text: str

    def __str__(self) -> str:
        return self.text

    def as_json(self) -> dict[str, Any]:
        """Return the rule as plain values."""
        return {"is": self.text}


Rule = User | Setting | Roles | Owner | Caller | Other
Rules = Mapping[Key, Rule]


@dataclass(frozen=True, slots=True, kw_only=True)
class RootRules:
    """The rules of a root: by the path of each object, ``/`` first, those it has.

    An object without a rule of its own is there, too. ``unreadable`` are the paths of
    user folders that are not one of Zope's own, with their class. ``sandbox_owners``
    are the users who own a sandbox.
    """

    instance: str
    objects: Mapping[str, Rules]
    unreadable: Mapping[str, str]
    sandbox_owners: frozenset[str] = frozenset()


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "nobody"
