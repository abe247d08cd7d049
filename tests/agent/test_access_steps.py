"""The steps of access rules bring about what the rules that they are made from say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from AccessControl.users import User as ZopeUser
from OFS.DTMLMethod import DTMLMethod
from OFS.Folder import Folder
from zope_files import in_file
from ZPublisher.BeforeTraverse import NameCaller, registerBeforeTraverse

from zmount.agent.steps import carry_out
from zmount.effects.raw_access import root_rules
from zmount.effects.raw_records import RawDatabase
from zmount.operations.access_plan import CopyPlan, CopyWish, differences, plan_copy
from zmount.plan.access_rules import Key, RootRules, User
from zmount.plan.access_steps import SetUser
from zmount.plan.root_steps import RootStep
from zmount.server.changes_file import ChangesFile


def objects(app: Any) -> None:
    """Make what both roots have, and a Manager."""
    app._setObject("folder", Folder("folder"), set_owner=0)
    app._setObject("rule", DTMLMethod("", __name__="rule"), set_owner=0)
    app.acl_users.data["boss"] = ZopeUser("boss", b"{SSHA}boss", ["Manager"], [])


def rules(app: Any) -> None:
    """Set one of each kind of rule."""
    app.acl_users.data["ann"] = ZopeUser("ann", b"{SHA}YQ==", ["Editor", "Manager"], ["10.*"])
    app.acl_users.data["old"] = ZopeUser("old", "plain text", ["Editor"], [])
    app.__ac_roles__ = ("Manager", "Owner", "Anonymous", "Authenticated", "Editor")
    app._View_Permission = ("Manager", "Editor")
    app._Add_Folders_Permission = ["Owner"]
    app._Copy_or_Move_Permission = ()
    app.folder._owner = (["acl_users"], "ann")
    app.folder.__ac_local_roles__ = {"ann": ["Owner", "Editor"], "boss": ("Editor",)}
    app.folder.__ac_local_roles_block__ = True
    app.rule._proxy_roles = ("Manager",)
    registerBeforeTraverse(app, NameCaller("rule"), "AccessRule", 1)


def read(path: Path, name: str) -> RootRules:
    database = RawDatabase(ChangesFile(str(path), read_only=True), name)
    try:
        return root_rules(name, database, ())
    finally:
        database.close()


def plan(source: Path, target: Path) -> CopyPlan:
    ours, theirs = read(source, "dev"), read(target, "pub")
    wish = CopyWish(source="dev", removes_users=True)
    return plan_copy(wish, ours, theirs, differences(ours, theirs))


def do(target: Path, source: Path, steps: Sequence[RootStep]) -> dict[str, Any]:
    """Do STEPS in TARGET; return what the agent says."""
    known = read(source, "dev").objects["/acl_users"]

    def spelled(step: RootStep) -> dict[str, Any]:
        if not isinstance(step, SetUser):
            return step.as_json()
        user = known[Key("user", step.user)]
        assert isinstance(user, User) and user.password is not None
        password = user.password.reveal()
        return {**step.as_json(), "password": password, "is_bytes": user.is_bytes}

    result: dict[str, Any] = {}
    in_file(
        target,
        lambda app: result.update(carry_out(app, [spelled(each) for each in steps], "a test")),
    )
    return result


def stored(app: Any, name: str) -> object:
    """Return what the user folder keeps as the password of NAME."""
    return app.acl_users.getUser(name)._getPassword()


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    """Two roots with the same objects; only the first has rules."""
    with_rules, without = tmp_path / "dev.fs", tmp_path / "pub.fs"
    for path in (with_rules, without):
        in_file(path, objects)
    in_file(with_rules, rules)
    return with_rules, without


def test_every_kind_of_rule_is_brought_over_and_taken_back(roots: tuple[Path, Path]) -> None:
    with_rules, without = roots
    before = read(without, "pub")

    there = plan(with_rules, without)
    assert there.left_alone == ()
    came = do(without, with_rules, there.steps)

    assert came["refused"] == []
    assert len(came["done"]) == len(there.steps) == 12
    assert differences(read(with_rules, "dev"), read(without, "pub"), with_passwords=True) == ()
    kept: list[object] = []
    in_file(without, lambda app: kept.extend(stored(app, name) for name in ("ann", "old")))
    assert kept == [b"{SHA}YQ==", "plain text"]

    bare = with_rules.with_name("bare.fs")
    in_file(bare, objects)
    back = plan(bare, without)
    assert do(without, bare, back.steps)["refused"] == []
    assert differences(before, read(without, "pub")) == ()


def test_the_same_steps_again_change_nothing(roots: tuple[Path, Path]) -> None:
    with_rules, without = roots
    steps = [step for step in plan(with_rules, without).steps if not isinstance(step, SetUser)]
    do(without, with_rules, steps)

    again = do(without, with_rules, steps)

    assert again == {"done": [], "refused": [], "answers": {}}


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ({"step": "remove_user", "folder": "/acl_users", "user": "boss"}, "the last Manager"),
        (
            {
                "step": "set_user",
                "folder": "/acl_users",
                "user": "boss",
                "roles": ["Editor"],
                "domains": [],
                "password": "x",
                "is_bytes": True,
            },
            "the last Manager",
        ),
        ({"step": "set_roles", "path": "/folder/gone", "roles": None}, "no gone on the way"),
        ({"step": "set_roles", "path": "/rule/x", "roles": None}, "no x on the way"),
        ({"step": "remove_user", "folder": "/folder", "user": "boss"}, "not one of Zope's own"),
        (
            {
                "step": "set_access_rule",
                "path": "/",
                "hook": "AccessRule",
                "priority": 1,
                "called": "gone",
            },
            "has no gone",
        ),
    ],
)
def test_what_would_harm_is_refused_by_the_root_itself(
    roots: tuple[Path, Path], step: dict[str, Any], why: str
) -> None:
    without = roots[1]
    before = read(without, "pub")
    result: dict[str, Any] = {}

    in_file(without, lambda app: result.update(carry_out(app, [step], "a test")))

    ((_, said),) = result["refused"]
    assert why in said
    assert differences(before, read(without, "pub"), with_passwords=True) == ()
