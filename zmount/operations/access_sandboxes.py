"""Users who are in a root for a sandbox and for nothing else.

A root without that sandbox need not know them: they are no difference between the rules of
two roots, and a copy neither brings nor removes them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from zmount.operations.access_plan import ROOT_USERS
from zmount.plan.access_rules import Owner, RootRules, User


def without_sandbox_users(rules: RootRules, other: RootRules) -> tuple[RootRules, tuple[str, ...]]:
    """Return RULES without the users who only have a sandbox, and their names.

    A user whom OTHER knows stays, and so does one with a role in the root, or with a local
    role or an object of his own anywhere but among the sandboxes.
    """
    users = rules.objects.get(ROOT_USERS, {})
    known = other.objects.get(ROOT_USERS, {})
    concerned = set(_concerned(rules))
    gone = {
        key
        for key, rule in users.items()
        if isinstance(rule, User)
        and not rule.roles
        and key not in known
        and key.name in rules.sandbox_owners - concerned
    }
    if not gone:
        return rules, ()
    left = {key: rule for key, rule in users.items() if key not in gone}
    names = tuple(sorted(key.name for key in gone))
    return replace(rules, objects={**rules.objects, ROOT_USERS: left}), names


def _concerned(rules: RootRules) -> Iterator[str]:
    """Yield the users whom a rule of an object names; sandboxes are no part of RULES."""
    for of_object in rules.objects.values():
        for key, rule in of_object.items():
            if isinstance(rule, Owner) and f"/{'/'.join(rule.folder)}" == ROOT_USERS:
                yield rule.user
            elif key.what == "local roles":
                yield key.name
