"""How the access rules of two roots differ, and what brings those of one to the other.

What cannot be brought over is told and left alone: objects that the other root does not
have, user folders that are not Zope's own, hooks that are no access rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from zmount.plan.access_rules import (
    Caller,
    Key,
    Owner,
    Roles,
    RootRules,
    Rule,
    Rules,
    Setting,
    User,
)
from zmount.plan.access_steps import (
    BlockLocalRoles,
    RemoveUser,
    SetAccessRule,
    SetLocalRoles,
    SetOwner,
    SetPermission,
    SetProxyRoles,
    SetRoles,
    SetUser,
)
from zmount.plan.root_steps import RootStep

ROOT_USERS = "/acl_users"
_OWN = frozenset(("Owner",))  # the local role that whoever adds an object gets


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A rule of the object at ``path`` that two roots do not have in common.

    None is no such rule. ``is_alone`` is "" where both roots have the object, else the
    instance that has it. Two users that only differ in their password's hash are told
    to have ``other_hash``.
    """

    path: str
    key: Key
    left: Rule | None
    right: Rule | None
    is_alone: str = ""
    other_hash: bool = False

    def as_json(self, left: str, right: str) -> dict[str, Any]:
        """Return the difference as plain values; LEFT and RIGHT are the instances."""
        return {
            "what": self.key.what,
            "name": self.key.name,
            left: None if self.left is None else self.left.as_json(),
            right: None if self.right is None else self.right.as_json(),
            "other_hash": self.other_hash,
            "object_only_in": self.is_alone or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyWish:
    """Bring over the rules of the instance ``source``.

    ``removes_users``: also remove users that it does not have. ``is_agreed``: do it
    without being asked.
    """

    source: str
    removes_users: bool = False
    is_agreed: bool = False
    is_dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPlan:
    """The steps that bring rules over, and what is left alone, with the reason."""

    source: str
    target: str
    steps: tuple[RootStep, ...]
    left_alone: tuple[str, ...]


def differences(
    left: RootRules, right: RootRules, *, with_passwords: bool = False
) -> tuple[Difference, ...]:
    """Return how LEFT and RIGHT differ, by object.

    WITH_PASSWORDS users differ, too, whose passwords have other hashes.
    """
    return tuple(_differences(left, right, with_passwords))


def _differences(left: RootRules, right: RootRules, with_passwords: bool) -> Iterator[Difference]:
    for path in sorted({*left.objects, *right.objects}):
        rules = left.objects.get(path), right.objects.get(path)
        alone = right.instance if rules[0] is None else left.instance if rules[1] is None else ""
        ours, theirs = (_telling(each or {}) if alone else each or {} for each in rules)
        for key in sorted({*ours, *theirs}):
            one, other = ours.get(key), theirs.get(key)
            is_other = with_passwords and _has_other_hash(one, other)
            if one != other or is_other:
                yield Difference(
                    path=path,
                    key=key,
                    left=one,
                    right=other,
                    is_alone=alone,
                    other_hash=one == other and is_other,
                )


def _telling(rules: Rules) -> Rules:
    """Return those of an object's RULES that it would not have anyway."""
    return {
        key: rule
        for key, rule in rules.items()
        if key.what != "owner" and not (isinstance(rule, Roles) and _OWN.issuperset(rule.names))
    }


def other_hashes(left: RootRules, right: RootRules) -> int:
    """Return how many users are the same in both but for the hash of their password."""
    return sum(
        rule == right.objects.get(path, {}).get(key)
        and _has_other_hash(rule, right.objects.get(path, {}).get(key))
        for path, rules in left.objects.items()
        for key, rule in rules.items()
    )


def _has_other_hash(one: Rule | None, other: Rule | None) -> bool:
    if not isinstance(one, User) or not isinstance(other, User):
        return False
    return one.password != other.password


def plan_copy(
    wish: CopyWish,
    source: RootRules,
    target: RootRules,
    found: tuple[Difference, ...],
    *,
    keeps: frozenset[str] = frozenset(),
) -> CopyPlan:
    """Return what brings the rules of SOURCE to TARGET; FOUND is how these two differ.

    FOUND has SOURCE on the left. KEEPS are users that are never removed, and stay Managers.
    """
    steps: list[RootStep] = []
    left: list[str] = []
    for each in found:
        why = _why_left(wish, each, source, keeps)
        if why:
            left.append(f"{each.path}: {each.key}: {why}")
        else:
            steps.append(_step(each))
    of_users = [step for step in steps if _is_of_root_users(step)]
    if of_users and not _managers_after(target, of_users):
        steps = [step for step in steps if step not in of_users]
        left += [f"{step}: the root would have no Manager any more" for step in of_users]
    return CopyPlan(
        source=source.instance,
        target=target.instance,
        steps=tuple(sorted(steps, key=_order)),
        left_alone=tuple(left),
    )


def _why_left(wish: CopyWish, each: Difference, source: RootRules, keeps: frozenset[str]) -> str:
    """Return why a difference, the source's rule on its left, stays; "" if it goes."""
    if each.is_alone == source.instance:
        return "there is no such object: make it, or copy it"
    if each.is_alone:
        return f"{source.instance} has no such object"
    if each.key.what == "user folder":
        return "zmount reads and writes only Zope's own user folders"
    if each.key.what == "user" and (why := _why_user_left(wish, each, source, keeps)):
        return why
    if each.key.what == "local roles block":
        return ""
    kinds = _COPIED[each.key.what]
    for rule in (each.left, each.right):
        if rule is not None and not isinstance(rule, kinds):
            return "it is nothing that zmount could copy"
    return ""


def _why_user_left(
    wish: CopyWish, each: Difference, source: RootRules, keeps: frozenset[str]
) -> str:
    """Return why a user whose rules differ stays as he is in the target; "" if he does not."""
    if each.left is None and not wish.removes_users:
        return f"{source.instance} has no such user; --remove-users removes him"
    if each.key.name not in keeps:
        return ""
    if each.left is None:
        return "he is the administrator that zmount.conf names"
    if isinstance(each.left, User) and isinstance(each.right, User):
        is_other_way_in = each.left.domains and each.left.domains != each.right.domains
        was, will = ("Manager" in user.roles for user in (each.right, each.left))
        if was and (not will or is_other_way_in):
            return "he is the administrator that zmount.conf names, and stays a Manager"
    return ""


_COPIED: dict[str, type[Rule]] = {
    "user": User,
    "roles": Roles,
    "local roles": Roles,
    "permission": Setting,
    "owner": Owner,
    "proxy roles": Roles,
    "access rule": Caller,
}


def _step(each: Difference) -> RootStep:
    """Return what lets the object on the right have the rule on the left."""
    path, name, rule = each.path, each.key.name, each.left
    roles = rule.names if isinstance(rule, Roles) else None
    match each.key.what:
        case "user" if isinstance(rule, User):
            return SetUser(folder=path, user=name, roles=rule.roles, domains=rule.domains)
        case "user":
            return RemoveUser(folder=path, user=name)
        case "roles":
            return SetRoles(path=path, roles=roles)
        case "proxy roles":
            return SetProxyRoles(path=path, roles=roles)
        case "local roles":
            return SetLocalRoles(path=path, user=name, roles=roles)
        case "local roles block":
            return BlockLocalRoles(path=path, is_blocked=rule is not None)
        case "owner":
            owner = rule if isinstance(rule, Owner) else None
            return SetOwner(
                path=path,
                user=None if owner is None else owner.user,
                folder=() if owner is None else owner.folder,
            )
        case "access rule":
            return _access_rule(path, name, rule)
    setting = rule if isinstance(rule, Setting) else None
    return SetPermission(
        path=path,
        permission=name,
        roles=None if setting is None else setting.roles,
        is_acquired=setting is not None and setting.is_acquired,
    )


def _access_rule(path: str, name: str, rule: Rule | None) -> RootStep:
    hook, _, priority = name.rpartition(" ")
    called = rule.called if isinstance(rule, Caller) else None
    return SetAccessRule(path=path, hook=hook, priority=int(priority), called=called)


def _is_of_root_users(step: RootStep) -> bool:
    return isinstance(step, SetUser | RemoveUser) and step.folder == ROOT_USERS


def _managers_after(target: RootRules, steps: list[RootStep]) -> set[str]:
    """Return the Managers that TARGET's root has after STEPS."""
    rules = target.objects.get(ROOT_USERS, {}).items()
    managers = {
        key.name for key, rule in rules if isinstance(rule, User) and "Manager" in rule.roles
    }
    for step in steps:
        if isinstance(step, SetUser | RemoveUser):
            managers -= {step.user}
        if isinstance(step, SetUser) and "Manager" in step.roles:
            managers.add(step.user)
    return managers


def _order(step: RootStep) -> int:
    """Sort roles first, then users, Managers before all others, removals after them."""
    if isinstance(step, SetRoles):
        return 0
    if isinstance(step, SetUser):
        return 1 if "Manager" in step.roles else 2
    return 3 if isinstance(step, RemoveUser) else 4
