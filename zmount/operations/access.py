"""Compare the access rules in the roots of two instances; bring those of one to the other.

1. observe: read the records of both roots, of objects in the root's own storage.
2. compare: rule by rule; sandboxes, the attic and what mount points show are nobody's
   business here.
3. plan:    one step for each rule that can be brought over, the rest is told.
4. apply:   in the target's own Zope, up or down, in one transaction. Hashes of passwords
   go with the steps, and nowhere else.
5. verify:  read both roots again; nothing that was brought over may differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zmount.effects.raw_access import root_rules
from zmount.effects.raw_attic import ATTIC
from zmount.effects.raw_storages import RawDatabases, is_read_only
from zmount.errors import AccessDiffers, StorageUnreadable, UnknownName
from zmount.operations.access_plan import (
    CopyPlan,
    CopyWish,
    Difference,
    differences,
    other_hashes,
    plan_copy,
)
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.root_changes import change_root
from zmount.plan.access_rules import Key, RootRules, User
from zmount.plan.access_steps import SetUser
from zmount.plan.root_steps import RootStep
from zmount.topology.hosts import Host
from zmount.topology.instances import Instance, Kind, Replica
from zmount.topology.topology import Topology

Ask = Callable[[CopyPlan], bool]
Watcher = Callable[[CopyPlan | str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two roots; ``with_passwords``: users differ where only their hashes do, too."""

    left: Instance
    right: Instance
    with_passwords: bool = False

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

    ``unreadable`` are user folders whose users are not compared, and their class.
    """

    left: RootRules
    right: RootRules
    found: tuple[Difference, ...]
    other_hashes: int

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
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What came of a copy: ``after`` is how the roots differ now; None for a dry run."""

    plan: CopyPlan
    before: Compared
    after: Compared | None
    done: tuple[RootStep, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values; no hash is among them."""
        return {
            **(self.after or self.before).as_json(),
            "copied_from": self.plan.source,
            "copied_to": self.plan.target,
            "is_dry_run": self.after is None,
            "steps": [str(step) for step in self.plan.steps],
            "done": [str(step) for step in self.done],
            "left_alone": list(self.plan.left_alone),
        }


def pair(topology: Topology, names: tuple[str, ...], *, with_passwords: bool = False) -> Pair:
    """Return the instances NAMES, or the development instance and the public one.

    :raises UnknownName: there is no such instance, or it is not clear which are meant
    """
    if names:
        left, right = (topology.instance(name) for name in names)
    else:
        left, right = _only(topology, "development"), _only(topology, "public")
    if left.name == right.name:
        raise UnknownName(f"{left.name} is one root", hint="name two instances")
    return Pair(left=left, right=right, with_passwords=with_passwords)


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
    return Compared(
        left=left,
        right=right,
        found=differences(left, right, with_passwords=pair.with_passwords),
        other_hashes=other_hashes(left, right),
    )


def copy(
    topology: Topology, host: Host, pair: Pair, wish: CopyWish, watch: Watcher, ask: Ask | None
) -> Copied:
    """Bring the rules that WISH wants to the other root of PAIR.

    WATCH gets the plan, then what goes on. Without ASK, as for a script, WISH itself must
    say that the plan is agreed to.

    :raises AccessDiffers: it is not agreed to, or a rule is not what it should be now
    :raises UnknownName: the source is neither of PAIR
    """
    target = pair.other(wish.source)
    before = compare(host, pair)
    plan = _plan(topology, pair, wish, before)
    watch(plan)
    if wish.is_dry_run:
        return Copied(plan=plan, before=before, after=None)
    if not plan.steps:
        return Copied(plan=plan, before=before, after=before)
    _must_be_writable(host, target)
    _must_be_agreed(plan, wish, ask)
    came = change_root(
        LocalProcesses(topology=topology, host=host),
        target,
        plan.steps,
        note=f"zmount: access rules of {plan.source}",
        say=watch,
        spelled=lambda step: _spelled_out(step, before.of(plan.source)),
    )
    after = compare(host, pair)
    _verify(plan, _plan(topology, pair, wish, after), came.refused)
    return Copied(plan=plan, before=before, after=after, done=came.done)


def _must_be_agreed(plan: CopyPlan, wish: CopyWish, ask: Ask | None) -> None:
    if wish.is_agreed or (ask is not None and ask(plan)):
        return
    raise AccessDiffers(
        f"nothing was brought from {plan.source} to {plan.target}: nobody agreed to the plan",
        hint="--dry-run shows it; a terminal asks, a script must say --yes",
    )


def _plan(topology: Topology, pair: Pair, wish: CopyWish, seen: Compared) -> CopyPlan:
    source, target = seen.of(wish.source), seen.of(pair.other(wish.source).name)
    administrator = topology.administrator
    return plan_copy(
        wish,
        source,
        target,
        differences(source, target, with_passwords=pair.with_passwords),
        keeps=frozenset() if administrator is None else frozenset((administrator.name,)),
    )


def _spelled_out(step: RootStep, source: RootRules) -> dict[str, Any]:
    """Return STEP for the agent, with the hash where it needs one."""
    if not isinstance(step, SetUser):
        return step.as_json()
    user = source.objects[step.folder][Key("user", step.user)]
    assert isinstance(user, User)
    password = None if user.password is None else user.password.reveal()
    return {**step.as_json(), "password": password, "is_bytes": user.is_bytes}


def _verify(plan: CopyPlan, again: CopyPlan, refused: Mapping[RootStep, str]) -> None:
    """Refuse to call it done where steps of PLAN are still to be done AGAIN."""
    missing = [str(step) for step in again.steps if step in plan.steps]
    if refused:
        raise AccessDiffers(
            f"{plan.target}: "
            + "; ".join(f"cannot {step}: {why}" for step, why in refused.items()),
            hint="the other rules are brought over; zmount access shows what differs",
        )
    if missing:
        raise AccessDiffers(
            f"{plan.target}: its Zope said that all was done, but there is still to do: "
            + "; ".join(missing),
            hint="somebody may have changed the root meanwhile; the same command again",
        )


def _rules(host: Host, instance: Instance, ignored: frozenset[str]) -> RootRules:
    with RawDatabases(_replica(host, instance)) as databases:
        database = databases.get(instance.root.name)
        if database is None:
            raise StorageUnreadable(
                f"the root of {instance.name} cannot be read from this host",
                hint=f"run it on host {instance.hosts[0].name}, or start the root's ZEO server",
            )
        rules = root_rules(instance.name, database, ignored)
    if not rules.objects:
        raise StorageUnreadable(
            f"the root of {instance.name} is empty", hint=f"zmount start {instance.name} makes it"
        )
    return rules


def _ignored(pair: Pair) -> frozenset[str]:
    """Return what is no part of the rules that both roots should have."""
    paths = {ATTIC}
    for instance in (pair.left, pair.right):
        paths |= {instance.sandboxes} if instance.sandboxes is not None else set()
        paths |= {point.virtual for mount in instance.mounts for point in mount.points}
    return frozenset(paths - {"/"})


def _replica(host: Host, instance: Instance) -> Replica:
    here = (each for each in instance.replicas if each.host.name == host.name)
    return next(here, instance.replicas[0])


def _must_be_writable(host: Host, target: Instance) -> None:
    if _replica(host, target).host != host:
        raise AccessDiffers(
            f"{target.name} runs on host {target.hosts[0].name}, not on {host.name}",
            hint=f"zmount access on {target.hosts[0].name}",
        )
    if is_read_only(target.root):
        raise AccessDiffers(
            f"the root of {target.name} is read-only",
            hint="bring the rules over through an instance that may write there",
        )
