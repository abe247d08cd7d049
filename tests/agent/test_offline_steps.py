"""A folder stands in for a mount point, and nothing else of its container changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from OFS.Application import Application
from OFS.Folder import Folder
from Products.BTreeFolder2.BTreeFolder2 import BTreeFolder2
from Products.ZODBMountPoint.MountedObject import MountedObject, setMountPoint
from transaction import TransactionManager
from ZODB import DB
from ZODB.MappingStorage import MappingStorage

from zmount.agent.offline_steps import put_online, take_offline
from zmount.agent.paths import NothingToDo, Refused, raw

PATH = "/home/x.org"


@pytest.fixture
def app() -> Iterator[Any]:
    """A root with three things in ``/home``, the mount point ``x.org`` between the others."""
    manager = TransactionManager()
    database = DB(MappingStorage())
    connection = database.open(manager)
    connection.root()["Application"] = Application()
    manager.savepoint()
    found: Any = connection.root()["Application"]
    found._setObject("home", Folder("home"))
    manager.savepoint()
    home = found._getOb("home")
    for name in ("before", "x.org", "after"):
        home._setObject(name, Folder(name))
    mount = MountedObject(PATH)
    connection.add(mount)
    home._setOb("x.org", mount)
    setMountPoint(home, "x.org", mount)
    manager.commit()
    yield found
    manager.abort()
    connection.close()
    database.close()


def take(app: Any, virtual: str = PATH) -> None:
    note = {"since": "now", "reason": "", "by": "me", "site": "x.org"}
    take_offline(app, set(), virtual=virtual, note=note, page="<p>gone</p>", retry_after_s=600)


def bring_back(app: Any) -> None:
    put_online(app, set(), virtual=PATH, database="pub/x.org", makes_missing=False)


def test_it_stands_where_the_mount_point_stood_and_keeps_it(app: Any) -> None:
    home = app._getOb("home")
    mount = raw(home, "x.org")

    take(app)

    assert home.objectIds() == ["before", "x.org", "after"]
    assert raw(home, "x.org")._zmount_offline["mount_point"] is mount
    assert "x.org" not in home._mount_points  # Zope's page must not call it a mount
    assert raw(home, "x.org").getPhysicalPath() == ("x.org",)


def test_a_second_time_there_is_nothing_to_do(app: Any) -> None:
    take(app)

    with pytest.raises(NothingToDo):
        take(app)


def test_what_is_no_mount_point_is_not_replaced(app: Any) -> None:
    with pytest.raises(Refused, match="is a Folder, not a mount point"):
        take(app, "/home/before")
    with pytest.raises(Refused, match="is not off-line"):
        put_online(app, set(), virtual="/home/before", database="d", makes_missing=False)


def test_a_root_without_the_mount_point_gets_the_stand_in_with_its_parents(app: Any) -> None:
    take(app, "/pub/deep/x.org")

    assert raw(app._getOb("pub")._getOb("deep"), "x.org")._zmount_offline["mount_point"] is None


def test_it_stands_in_a_folder_with_a_tree_which_counts_and_lists_as_before(app: Any) -> None:
    tree = BTreeFolder2("tree")
    app._p_jar.add(tree)
    app._setObject("tree", tree)
    mount = MountedObject("/tree/x.org")
    app._p_jar.add(mount)
    tree._setOb("x.org", mount)
    setMountPoint(tree, "x.org", mount)

    take(app, "/tree/x.org")
    take(app, "/tree/y.org")

    assert list(tree.objectIds()) == ["x.org", "y.org"]
    assert tree.objectCount() == 2
    assert raw(tree, "x.org")._zmount_offline["mount_point"] is mount
    assert raw(tree, "y.org")._zmount_offline["mount_point"] is None
    assert "x.org" not in tree._mount_points
    with pytest.raises(NothingToDo):
        take(app, "/tree/x.org")


def test_what_was_put_into_the_stand_in_is_not_lost(app: Any) -> None:
    take(app)
    app._getOb("home")._getOb("x.org")._setObject("precious", Folder("precious"))

    with pytest.raises(Refused, match=r"precious was put into /home/x\.org"):
        bring_back(app)


def test_a_mount_point_that_shows_nothing_does_not_come_back(app: Any) -> None:
    take(app)

    with pytest.raises(Refused, match=r"pub/x\.org does not show it"):
        bring_back(app)  # no database is configured here
    assert raw(app._getOb("home"), "x.org")._zmount_offline["by"] == "me"
