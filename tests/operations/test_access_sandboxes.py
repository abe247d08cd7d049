"""Users who are in a root for a sandbox only are no difference to one without sandboxes."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from deployments import Deployment
from zope_files import in_zope

from zmount.operations.access_sandboxes import without_sandbox_users
from zmount.plan.access_rules import Key, Owner, Roles, RootRules, Rules, User

CONF = """
administrator admin
administrator-password a secret
<zeo zeo>
  address var/zeo.sock
</zeo>
<site example.org/>
<instance dev>
  kind development
  http-address 127.0.0.1:{port}
</instance>
<instance pub>
  kind public
  http-address 127.0.0.1:{port2}
</instance>
"""
MEDUR = Key("user", "medur")
NO_ROLES = User(roles=(), domains=(), scheme="SSHA", password=None)
NAMES = "answer = sorted(app.acl_users.getUserNames())\n"
EDITOR = 'app.home.manage_setLocalRoles("medur", ["Editor"])\nanswer = None\n'


def dev(medur: User = NO_ROLES, *, sandboxes: frozenset[str], **objects: Rules) -> RootRules:
    """Return a root with the user medur; OBJECTS are others' rules by their id."""
    users: Rules = {Key("user", "admin"): NO_ROLES, MEDUR: medur}
    paths = {f"/{name}": rules for name, rules in objects.items()}
    return RootRules(
        instance="dev",
        objects={"/": {}, "/acl_users": users, **paths},
        unreadable={},
        sandbox_owners=sandboxes,
    )


def pub(*users: str) -> RootRules:
    known: Rules = {Key("user", name): NO_ROLES for name in users}
    return RootRules(instance="pub", objects={"/": {}, "/acl_users": known}, unreadable={})


MEDURS = frozenset(("medur",))
ROLES = User(roles=("Editor",), domains=(), scheme="SSHA", password=None)
LOCAL: Rules = {Key("local roles", "medur"): Roles(names=("Editor",))}
OWNED: Rules = {Key("owner"): Owner(user="medur", folder=("acl_users",))}


def test_who_has_nothing_but_a_sandbox_is_left_out_and_named() -> None:
    rules, names = without_sandbox_users(dev(sandboxes=MEDURS), pub("admin"))

    assert names == ("medur",)
    assert list(rules.objects["/acl_users"]) == [Key("user", "admin")]


@pytest.mark.parametrize(
    ("rules", "other"),
    [
        (dev(sandboxes=frozenset()), pub()),
        (dev(ROLES, sandboxes=MEDURS), pub()),
        (dev(sandboxes=MEDURS, page=LOCAL), pub()),
        (dev(sandboxes=MEDURS, page=OWNED), pub()),
        (dev(sandboxes=MEDURS), pub("medur")),
    ],
    ids=["no sandbox", "a role", "a local role", "an object of his own", "a user of the other"],
)
def test_who_has_something_else_counts(rules: RootRules, other: RootRules) -> None:
    assert without_sandbox_users(rules, other) == (rules, ())


def test_a_developer_with_a_sandbox_is_no_difference_and_no_copy_removes_him(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(CONF)
    for words in (("apply",), ("sandbox", "add", "medur", "example.org")):
        done = deployment.zmount(*words)
        assert done.returncode == 0, done.stderr

    seen = deployment.zmount("access")
    facts = json.loads(deployment.zmount("access", "--json").stdout)
    wanted = deployment.zmount("access", "--sandbox-users")
    copied = deployment.zmount("access", "--copy-from", "pub", "--remove-users", "--yes")

    assert (seen.returncode, copied.returncode) == (0, 0), seen.stdout + copied.stderr
    assert "users of dev who only have a sandbox, not compared: 1" in seen.stdout
    assert facts["sandbox_users_not_compared"] == {"dev": ["medur"]}
    assert (wanted.returncode, "user medur" in wanted.stdout) == (1, True)
    assert "nothing to change" in copied.stdout
    assert in_zope(deployment, "dev", NAMES) == ["admin", "medur"]

    in_zope(deployment, "dev", EDITOR)
    more = deployment.zmount("access")
    assert more.returncode == 1
    assert "user medur" in more.stdout
    assert "local roles medur" in more.stdout

    brought = deployment.zmount("access", "--copy-from", "dev", "--yes")
    assert brought.returncode == 0, brought.stdout + brought.stderr
    assert in_zope(deployment, "pub", NAMES) == ["admin", "medur"]
