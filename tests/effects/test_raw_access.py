"""The access rules of a root are read from its records, whoever wrote them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from AccessControl.owner import UnownableOwner
from AccessControl.users import User as ZopeUser
from OFS.Application import Application
from OFS.DTMLMethod import DTMLMethod
from OFS.Folder import Folder
from OFS.userfolder import UserFolder
from persistent.mapping import PersistentMapping
from Products.BTreeFolder2.BTreeFolder2 import BTreeFolder2
from Products.ZODBMountPoint.MountedObject import MountedObject
from zope_files import in_file
from ZPublisher.BeforeTraverse import NameCaller, registerBeforeTraverse

from zmount.effects.raw_access import root_rules
from zmount.effects.raw_records import RawDatabase
from zmount.plan.access_rules import (
    Caller,
    Key,
    Other,
    Owner,
    Roles,
    RootRules,
    Rules,
    Setting,
    User,
)
from zmount.server.changes_file import ChangesFile

Read = Callable[..., RootRules]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """A function that returns the rules of a root that a function has changed."""

    def read(change: Callable[[Any], object], *ignored: str) -> RootRules:
        path = tmp_path / "Data.fs"
        in_file(path, change)
        database = RawDatabase(ChangesFile(str(path), read_only=True), "main")
        try:
            return root_rules("dev", database, ignored)
        finally:
            database.close()

    return read


def at_the_top(read: Read, change: Callable[[Any], object]) -> Rules:
    """Return the rules that the Application got by CHANGE, without those it has anyway."""
    before = read(lambda app: None).objects["/"]
    after = read(change).objects["/"]
    return {key: rule for key, rule in after.items() if before.get(key) != rule}


def users(read: Read, password: object) -> User:
    """Return a user with the stored PASSWORD."""

    def add(app: Any) -> None:
        app.acl_users.data["ann"] = ZopeUser("ann", password, ["Manager", "Editor"], ["10.0.*"])

    user = read(add).objects["/acl_users"][Key("user", "ann")]
    assert isinstance(user, User)
    return user


def test_a_user_is_told_without_his_hash(read: Read) -> None:
    user = users(read, "{SSHA}c2VjcmV0")

    assert str(user) == "Editor, Manager, only from 10.0.*; password: SSHA"
    assert user.as_json()["password"] == "SSHA"
    assert "c2VjcmV0" not in repr(user)
    assert user.password is not None
    assert user.password.reveal() == "{SSHA}c2VjcmV0"


@pytest.mark.parametrize("password", ["hunter2", "{hunter2}", "{hunter2}x", b"hunter2"])
def test_a_password_in_plain_text_is_not_shown_whatever_it_looks_like(
    read: Read, password: object
) -> None:
    user = users(read, password)

    assert user.scheme == "plain text, or of an unknown scheme"
    assert "hunter2" not in repr(user) + str(user)


def test_a_user_without_a_password_has_none(read: Read) -> None:
    assert users(read, None).scheme == "none"


def test_a_list_of_roles_is_acquired_and_a_tuple_is_not(read: Read) -> None:
    def change(app: Any) -> None:
        app._View_Permission = ("Manager", "Editor")
        app._Add_Folders_Permission = ["Owner"]
        app._Copy_or_Move_Permission = ()

    assert at_the_top(read, change) == {
        Key("permission", "View"): Setting(roles=("Editor", "Manager"), is_acquired=False),
        Key("permission", "Add_Folders"): Setting(roles=("Owner",), is_acquired=True),
        Key("permission", "Copy_or_Move"): Setting(roles=(), is_acquired=False),
    }


def test_roles_local_roles_and_owners_are_read(read: Read) -> None:
    def change(app: Any) -> None:
        app.__ac_roles__ = ("Owner", "Editor", "Editor")
        app.__ac_local_roles__ = PersistentMapping(ann=["Editor"])
        app.__ac_local_roles_block__ = 1
        app._owner = (["members", "acl_users"], "ann")

    assert at_the_top(read, change) == {
        Key("roles"): Roles(names=("Editor", "Owner")),
        Key("local roles", "ann"): Roles(names=("Editor",)),
        Key("local roles block"): Other(text="those from above do not count"),
        Key("owner"): Owner(user="ann", folder=("members", "acl_users")),
    }


def test_what_nobody_can_own_is_told(read: Read) -> None:
    def change(app: Any) -> None:
        app._owner = UnownableOwner

    assert at_the_top(read, change) == {Key("owner"): Other(text="[]")}


def test_an_access_rule_names_what_it_calls_and_another_hook_is_shown(read: Read) -> None:
    def change(app: Any) -> None:
        registerBeforeTraverse(app, NameCaller("rule"), "AccessRule", 1)
        registerBeforeTraverse(app, ZopeUser("a hook", None, (), ()), "Hook", 50)

    rules = at_the_top(read, change)
    assert rules[Key("access rule", "AccessRule 1")] == Caller(called="rule")
    assert isinstance(rules[Key("access rule", "Hook 50")], Other)


def test_proxy_roles_of_a_method_deep_in_the_root_are_read(read: Read) -> None:
    def change(app: Any) -> None:
        app._setObject("a", Folder("a"))
        app.a._setObject("tree", BTreeFolder2("tree"))
        method = DTMLMethod("", __name__="m")
        method._proxy_roles = ("Manager",)
        app.a.tree._setObject("m", method)

    assert read(change).objects["/a/tree/m"] == {Key("proxy roles"): Roles(names=("Manager",))}


def test_what_a_mount_point_shows_and_what_is_ignored_is_not_looked_at(read: Read) -> None:
    def change(app: Any) -> None:
        for name in ("home", "dev", "zmount_attic"):
            app._setObject(name, Folder(name))
            app.__dict__[name]._setObject("below", Folder("below"))
        app.home.x = MountedObject("/home/x")
        app.home._objects += ({"id": "x", "meta_type": "Folder"},)

    found = read(change, "/dev", "/zmount_attic").objects

    assert {path for path in found if path.startswith(("/home", "/dev", "/zm"))} == {
        "/home",
        "/home/below",
    }


def test_a_user_folder_of_another_kind_is_named_and_not_read(read: Read) -> None:
    def change(app: Any) -> None:
        app._delObject("acl_users")
        app._setObject("acl_users", Folder("acl_users"))

    found = read(change)

    assert found.unreadable == {"/acl_users": "OFS.Folder.Folder"}
    assert found.objects["/acl_users"][Key("user folder")] == Other(text="OFS.Folder.Folder")


def test_users_of_a_folder_below_the_root_are_read(read: Read) -> None:
    def change(app: Any) -> None:
        app._setObject("members", Folder("members"))
        app.members._setObject("acl_users", UserFolder())
        app.members.acl_users._doAddUser("ann", "secret", ["Member"], [])

    found = read(change)
    assert str(found.objects["/members/acl_users"][Key("user", "ann")]) == "Member; password: SSHA"


def test_objects_that_contain_each_other_end(read: Read) -> None:
    def change(app: Application) -> None:
        app._setObject("a", Folder("a"))
        app.a.loop = app.__dict__["a"]
        app.a._objects += ({"id": "loop", "meta_type": "Folder"},)

    assert "/a/loop" not in read(change).objects
