"""Compare the access rules in the roots of two instances.

1. observe: read the records of both roots, of objects in the root's own storage.
2. compare: rule by rule; sandboxes and who only has one, the attic and what mount points
   show are nobody's business here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from zmount.effects.raw_access import root_rules
from zmount.effects.raw_attic import ATTIC
from zmount.effects.raw_roots import RawRoot
from zmount.effects.raw_sandboxes import sandbox_owners
from zmount.effects.raw_storages import RawDatabases
from zmount.errors import (
    StorageUnreadable,
    UnknownName,
)
from zmount.operations.access_plan import (
    Difference,
    differences,
    other_hashes,
)
from zmount.operations.access_sandboxes import without_sandbox_users
from zmount.operations.replica_near import replica_near
from zmount.plan.access_rules import RootRules
from zmount.topology.hosts import Host
from zmount.topology.instances import Instance, Kind
from zmount.topology.topology import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two roots, and what is compared besides.

    ``with_passwords``: users differ where only their hashes do, too.
    ``with_sandbox_users``: users who only have a sandbox count as all others.
    """

    left: Instance
    right: Instance
    with_passwords: bool = False
    with_sandbox_users: bool = False

    def other(self, name: str) -> Instance:
        """Return the instance that is not called NAME.

        :raises UnknownName: neither is called so
        """
        names = {self.left.name: self.right, self.right.name: self.left}
        if name not in names:
            raise UnknownName(
                f"rules are brought from {self.left.name} or from {self.right.name}, "
                f"not from {name}",
                hint=f"zmount access {name} {self.right.name} --copy-from {name}",
            )
        return names[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """How two roots differ. ``other_hashes`` counts users that only differ in their hash.

    ``unreadable`` are user folders whose users are not compared, and their class;
    ``sandbox_users`` by instance are those who only have a sandbox, and do not count.
    """

    left: RootRules
    right: RootRules
    found: tuple[Difference, ...]
    other_hashes: int
    sandbox_users: Mapping[str, tuple[str, ...]]

    def of(self, instance: str) -> RootRules:
        """Return the rules of INSTANCE, one of the two."""
        return self.left if self.left.instance == instance else self.right

    @property
    def unreadable(self) -> dict[str, str]:
        """User folders that both roots have and whose users nobody compared."""
        both = self.left.unreadable.keys() & self.right.unreadable.keys()
        return {path: self.left.unreadable[path] for path in sorted(both)}

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values; no hash is among them."""
        left, right = self.left.instance, self.right.instance
        grouped: dict[str, list[dict[str, Any]]] = {}
        for each in self.found:
            grouped.setdefault(each.path, []).append(each.as_json(left, right))
        return {
            "instances": [left, right],
            "is_same": not self.found,
            "objects_compared": len({*self.left.objects, *self.right.objects}),
            "differences": [{"path": path, "rules": rules} for path, rules in grouped.items()],
            "other_hashes": self.other_hashes,
            "user_folders_not_compared": self.unreadable,
            "sandbox_users_not_compared": {
                instance: list(names) for instance, names in self.sandbox_users.items() if names
            },
        }


def pair(topology: Topology, names: tuple[str, ...]) -> Pair:
    """Return the instances NAMES, or the development instance and the public one.

    :raises UnknownName: there is no such instance, or it is not clear which are meant
    """
    if names:
        left, right = (topology.instance(name) for name in names)
    else:
        left, right = _only(topology, "development"), _only(topology, "public")
    if left.name == right.name:
        raise UnknownName(f"{left.name} is one root", hint="name two instances")
    return Pair(left=left, right=right)


def _only(topology: Topology, kind: Kind) -> Instance:
    found = [instance for instance in topology.instances if instance.kind == kind]
    if len(found) != 1:
        names = ", ".join(instance.name for instance in found) or "none"
        raise UnknownName(
            f"there is not one {kind} instance, but {names}",
            hint="zmount access INSTANCE INSTANCE",
        )
    return found[0]


def compare(host: Host, pair: Pair) -> Compared:
    """Return how the roots of PAIR differ, as they are read from HOST.

    :raises StorageUnreadable: a root cannot be read from HOST, or is damaged
    """
    ignored = _ignored(pair)
    left, right = (_rules(host, each, ignored) for each in (pair.left, pair.right))
    apart: dict[str, tuple[str, ...]] = {}
    if not pair.with_sandbox_users:
        (left, ours), (right, theirs) = (
            without_sandbox_users(left, right),
            without_sandbox_users(right, left),
        )
        apart = {left.instance: ours, right.instance: theirs}
    return Compared(
        left=left,
        right=right,
        found=differences(left, right, with_passwords=pair.with_passwords),
        other_hashes=other_hashes(left, right),
        sandbox_users=apart,
    )


def _rules(host: Host, instance: Instance, ignored: frozenset[str]) -> RootRules:
    with RawDatabases(replica_near(host, instance)) as databases:
        database = databases.get(instance.root.name)
        if database is None:
            raise _unreadable(host, instance)
        rules = root_rules(instance.name, database, ignored)
        if instance.sandboxes is not None:
            root = RawRoot(instance.mounts, databases)
            rules = replace(rules, sandbox_owners=sandbox_owners(root, instance.sandboxes))
    if not rules.objects:
        raise StorageUnreadable(
            f"the root of {instance.name} is empty", hint=f"zmount start {instance.name} makes it"
        )
    return rules


def _unreadable(host: Host, instance: Instance) -> StorageUnreadable:
    server = instance.root.storage.server
    if server is None:
        return StorageUnreadable(
            f"the root of {instance.name} is a file on host {instance.hosts[0].name}, and cannot "
            f"be read from {host.name}",
            hint="run it there; roots of two hosts can be compared where at least one of them is "
            "in a storage of a ZEO server",
        )
    return StorageUnreadable(
        f"the root of {instance.name} cannot be read: its ZEO server {server.name} does not answer",
        hint=f"zmount start {server.name} on host {server.host.name}",
    )


def _ignored(pair: Pair) -> frozenset[str]:
    """Return what is no part of the rules that both roots should have."""
    paths = {ATTIC}
    for instance in (pair.left, pair.right):
        paths |= {instance.sandboxes} if instance.sandboxes is not None else set()
        paths |= {point.virtual for mount in instance.mounts for point in mount.points}
    return frozenset(paths - {"/"})
