"""How differences between the access rules of two roots look to an administrator."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from zmount.operations.access import Compared
from zmount.operations.access_plan import CopyPlan, Difference
from zmount.plan.access_rules import Key, Rule
from zmount.sizes import counted


def compared_text(seen: Compared) -> str:
    """Return how two roots differ, by object."""
    return "\n".join(map(_printable, _compared(seen)))


def plan_text(plan: CopyPlan) -> str:
    """Return what a copy would change, and what it leaves alone."""
    lines = [f"from {plan.source} to {plan.target}:"]
    lines += [f"  {step}" for step in plan.steps] or ["  nothing to change"]
    lines += [f"  left alone: {each}" for each in plan.left_alone]
    return "\n".join(map(_printable, [*lines, ""]))


def _compared(seen: Compared) -> Iterator[str]:
    names = (seen.left.instance, seen.right.instance)
    for path, found in groupby(seen.found, key=lambda each: each.path):
        yield path
        for each in found:
            yield from _difference(each, names)
    for path, kind in seen.unreadable.items():
        yield f"{path}: its users are not compared: it is a {kind}"
    for instance, users in seen.sandbox_users.items():
        if users:
            yield f"users of {instance} who only have a sandbox, not compared: {len(users)}"
    if seen.other_hashes:
        yield (
            "users with another hash of the same kind, whose passwords may differ: "
            f"{seen.other_hashes}"
        )
    objects = counted(len({each.path for each in seen.found}), "object")
    yield (
        f"{names[0]} and {names[1]}: {_differ(len(seen.found))}, of {objects}"
        if seen.found
        else f"{names[0]} and {names[1]} have the same access rules"
    )


def _differ(count: int) -> str:
    return counted(count, "rule differs", "rules differ")


def _difference(each: Difference, names: tuple[str, str]) -> Iterator[str]:
    yield f"  {_key(each.key)}"
    if each.other_hash:
        yield "    the same in both, but for the password's hash"
        return
    for name, rule in zip(names, (each.left, each.right), strict=True):
        yield f"    {name}: {_rule(rule, is_elsewhere=each.is_alone not in ('', name))}"


def _key(key: Key) -> str:
    words = key.name.replace("_", " ") if key.what == "permission" else key.name
    return f"{key.what} {words}".rstrip()


def _rule(rule: Rule | None, *, is_elsewhere: bool) -> str:
    if is_elsewhere:
        return "there is no such object"
    return "-" if rule is None else str(rule)


def _printable(line: str) -> str:
    """Return LINE with nothing in it that a terminal would obey."""
    return "".join(each if each.isprintable() else "?" for each in line)
