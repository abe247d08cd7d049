"""How roots differ and what a copy would do, judged on values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from zmount.operations.access_plan import CopyPlan, CopyWish, differences, plan_copy
from zmount.plan.access_rules import Caller, Key, Other, Owner, Roles, RootRules, Rules, User
from zmount.plan.access_steps import RemoveUser, SetAccessRule, SetOwner, SetRoles, SetUser
from zmount.topology.options import Secret

USERS = "/acl_users"


def user(*roles: str, password: str = "{SSHA}c2VjcmV0") -> User:
    return User(roles=roles, domains=(), scheme="SSHA", password=Secret(password))


def root(name: str, **objects: Rules) -> RootRules:
    """Return the rules of the root NAME; in OBJECTS ``top`` is /, else a name its path."""
    paths = {"/" if key == "top" else f"/{key}": rules for key, rules in objects.items()}
    return RootRules(instance=name, objects=paths, unreadable={})


def plan(
    source: RootRules, target: RootRules, *keeps: str, removes_users: bool = False
) -> CopyPlan:
    wish = CopyWish(source="dev", removes_users=removes_users)
    found = differences(source, target)
    return plan_copy(wish, source, target, found, keeps=frozenset(keeps))


def test_another_hash_is_a_difference_only_where_it_was_asked_for() -> None:
    left = root("dev", acl_users={Key("user", "ann"): user("Manager")})
    right = root("pub", acl_users={Key("user", "ann"): user("Manager", password="{SSHA}two")})

    assert differences(left, right) == ()
    (found,) = differences(left, right, with_passwords=True)
    assert found.other_hash


def test_an_object_that_only_one_root_has_counts_if_it_has_rules_of_its_own() -> None:
    everyday: Rules = {
        Key("owner"): Owner(user="ann", folder=("acl_users",)),
        Key("local roles", "ann"): Roles(names=("Owner",)),
    }
    special: Rules = {**everyday, Key("local roles", "bob"): Roles(names=("Editor",))}

    assert differences(root("dev", top={}, page=everyday), root("pub", top={})) == ()
    (found,) = differences(root("dev", top={}, page=special), root("pub", top={}))
    assert (found.key.name, found.is_alone) == ("bob", "dev")


def test_a_user_that_only_the_target_has_stays_unless_he_was_asked_to_go() -> None:
    ours = root("dev", acl_users={Key("user", "ann"): user("Manager")})
    theirs = root(
        "pub",
        acl_users={Key("user", "ann"): user("Manager"), Key("user", "bob"): user("Manager")},
    )

    assert plan(ours, theirs).steps == ()
    assert "--remove-users" in plan(ours, theirs).left_alone[0]
    gone = plan(ours, theirs, removes_users=True)
    assert gone.steps == (RemoveUser(folder=USERS, user="bob"),)


def test_the_administrator_of_the_topology_is_not_removed() -> None:
    ours = root("dev", acl_users={Key("user", "ann"): user("Manager")})
    theirs = root("pub", acl_users={Key("user", "admin"): user("Manager")})

    done = plan(ours, theirs, "admin", removes_users=True)

    assert [type(step) for step in done.steps] == [SetUser]
    assert "administrator" in done.left_alone[0]


@pytest.mark.parametrize("there", [user("Editor"), replace(user("Manager"), domains=("10.0.0.1",))])
def test_the_administrator_of_the_topology_stays_one_whatever_the_source_says(there: User) -> None:
    """Else zmount itself, which is he, could not take it back."""
    ours = root("dev", acl_users={Key("user", "admin"): there, Key("user", "ann"): user("Manager")})
    theirs = root("pub", acl_users={Key("user", "admin"): user("Manager")})

    done = plan(ours, theirs, "admin")

    assert [str(step) for step in done.steps] == [
        "/acl_users: set user ann with Manager, and his password's hash"
    ]
    assert "stays a Manager" in done.left_alone[0]


def test_the_last_manager_keeps_his_role_whatever_the_source_says() -> None:
    ours = root("dev", acl_users={Key("user", "ann"): user("Editor")}, top={Key("roles"): ROLES})
    theirs = root("pub", acl_users={Key("user", "ann"): user("Manager")}, top={})

    done = plan(ours, theirs, removes_users=True)

    assert done.steps == (SetRoles(path="/", roles=("Editor",)),)
    assert "no Manager any more" in done.left_alone[0]


def test_a_new_manager_comes_before_the_old_one_goes() -> None:
    ours = root("dev", acl_users={Key("user", "zoe"): user("Manager")})
    theirs = root("pub", acl_users={Key("user", "ann"): user("Manager")})

    steps = plan(ours, theirs, removes_users=True).steps

    assert [type(step) for step in steps] == [SetUser, RemoveUser]


def test_what_the_source_does_not_say_is_not_said_any_more() -> None:
    theirs: Rules = {
        Key("owner"): Owner(user="ann", folder=("acl_users",)),
        Key("access rule", "AccessRule 1"): Caller(called="rule"),
    }

    steps = plan(root("dev", top={}), root("pub", top=theirs)).steps

    assert set(steps) == {
        SetOwner(path="/", user=None, folder=()),
        SetAccessRule(path="/", hook="AccessRule", priority=1, called=None),
    }


def test_a_hook_that_is_no_access_rule_is_left_alone() -> None:
    hook = Key("access rule", "Hook 50")
    done = plan(root("dev", top={hook: Other(text="some.Hook")}), root("pub", top={}))

    assert done.steps == ()
    assert done.left_alone == ("/: access rule Hook 50: it is nothing that zmount could copy",)


def test_no_step_holds_a_hash() -> None:
    done = plan(
        root("dev", acl_users={Key("user", "ann"): user("Manager")}), root("pub", acl_users={})
    )

    assert "c2VjcmV0" not in repr(done) + str(done.steps[0].as_json())


ROLES = Roles(names=("Editor",))
