"""What is copied keeps its place in folders of each kind; what has changed meanwhile is refused."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import transaction
import zope.component.event  # noqa: F401  delivers events
from AccessControl.SecurityManagement import (
    getSecurityManager,
    newSecurityManager,
    noSecurityManager,
)
from AccessControl.users import nobody
from Acquisition import aq_base
from DateTime.DateTime import DateTime
from OFS.Application import Application
from OFS.DTMLMethod import DTMLMethod
from OFS.Folder import Folder
from OFS.OrderedFolder import OrderedFolder
from persistent.wref import WeakRef
from Products.BTreeFolder2.BTreeFolder2 import BTreeFolder2
from ZODB import DB
from ZODB.FileStorage import FileStorage
from ZODB.utils import u64
from zope.component import getGlobalSiteManager, provideHandler
from zope.lifecycleevent.interfaces import IObjectAddedEvent

from zmount.agent.paths import Refused
from zmount.agent.push_reach import Reach
from zmount.agent.push_steps import _Push, look_at_push, push_object

KINDS = [Folder, OrderedFolder, BTreeFolder2]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Any]:
    """An Application with a folder that holds three, and a source to copy, /from/two."""
    database = DB(FileStorage(str(tmp_path / "Data.fs")), databases={}, database_name="main")
    connection = database.open()
    app = connection.root()["Application"] = Application()
    transaction.commit()
    app._setObject("from", Folder("from"), set_owner=0)
    add(app._getOb("from"), "two", title="new")
    transaction.commit()
    yield app
    transaction.abort()
    connection.close()
    database.close()


def add(container: Any, name: str, *, title: str = "", kind: type = Folder) -> Any:
    thing = kind(name)
    thing.title = title
    container._setObject(name, thing, set_owner=0)
    return container._getOb(name)


def push(app: Any, source: str, target: str, **changed: Any) -> dict[str, Any]:
    """Copy as zmount push does: it looks first."""
    where = {"source": source, "target": target, "root": "Application", "real": target}
    told = look_at_push(app, set(), **where)
    seen = {"oid": told["oid"], "replaces": told["replaces"], **changed}
    done: dict[str, Any] = push_object(app, set(), **where, **seen)
    transaction.commit()
    return done


@pytest.mark.parametrize("kind", KINDS)
def test_it_takes_the_place_of_what_was_there(app: Any, kind: type) -> None:
    target = add(app, "to", kind=kind)
    for name in ("one", "two", "three"):
        add(target, name, title="old")
    transaction.commit()
    order = list(target.objectIds())

    push(app, "/from/two", "/to/two")

    assert list(target.objectIds()) == order
    assert [target._getOb(name).title for name in ("one", "two", "three")] == ["old", "new", "old"]
    assert len(list(target.objectIds())) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_new_comes_last(app: Any, kind: type) -> None:
    target = add(app, "to", kind=kind)
    add(target, "one")
    transaction.commit()

    told = push(app, "/from/two", "/to/two")

    assert set(target.objectIds()) == {"one", "two"}
    assert told["replaces"] is None
    assert told["written_objects"] == told["objects"] == 1
    assert target._getOb("two")._p_oid.hex() == told["copy"]
    assert app._getOb("from")._getOb("two")._p_oid.hex() == told["oid"]


@pytest.mark.parametrize("changed", [{"oid": "00" * 8}, {"replaces": "00" * 8}])
def test_another_object_than_was_shown_is_not_copied_nor_replaced(
    app: Any, changed: dict[str, str]
) -> None:
    add(add(app, "to"), "two", title="old")
    transaction.commit()

    with pytest.raises(Refused, match="another object now than when it was shown"):
        push(app, "/from/two", "/to/two", **changed)

    assert app._getOb("to")._getOb("two").title == "old"
    assert not app._p_jar._registered_objects


def test_a_reference_to_a_lost_object_is_not_copied(app: Any, tmp_path: Path) -> None:
    source = app._getOb("from")._getOb("two")
    lost = Folder("lost")
    app._p_jar.add(lost)
    source.other = lost
    transaction.commit()
    del app._p_jar.db().storage._index[lost._p_oid]  # as after a pack that knew better
    app._p_jar.cacheMinimize()

    with pytest.raises(Refused, match=f"/from/two refers to the object 0x{u64(lost._p_oid):x}, wh"):
        push(app, "/from/two", "/copy")


def test_what_would_be_dragged_along_is_not_counted_to_its_end(app: Any) -> None:
    source = app._getOb("from")._getOb("two")
    for number in range(20):
        add(app, f"other{number}")
    aq_base(add(source, "deep")).__parent__ = aq_base(app)
    transaction.commit()
    jar, oid, above = app._p_jar, source._p_oid, [app._p_oid]

    few = Reach(jar, oid).follow(5, unless=above)
    all_of_it = Reach(jar, oid).follow()

    assert few.is_cut
    assert len(few.came) < len(all_of_it.came)
    assert not Reach(jar, oid).follow(5, unless=[b"elsewhere"]).is_cut
    with pytest.raises(Refused, match="/from/two/deep/__parent__ refers to what /from/two lies in"):
        push(app, "/from/two", "/copy")


def test_an_object_whose_class_is_gone_is_not_copied(app: Any) -> None:
    product = types.ModuleType("gone")
    product.Thing = type("Thing", (Folder,), {"__module__": "gone"})  # type: ignore[attr-defined]
    sys.modules["gone"] = product
    try:
        add(app._getOb("from")._getOb("two"), "thing", kind=product.Thing)
        transaction.commit()
    finally:
        del sys.modules["gone"]

    with pytest.raises(Refused, match=r"/from/two/thing is of the class gone.Thing, which is not"):
        push(app, "/from/two", "/copy")


def test_a_copy_that_fails_leaves_the_connection_usable(app: Any) -> None:
    push_of = _Push(app, "/from/two", "/copy", "Application", "/copy")
    source = app._getOb("from")._getOb("two")
    source.weak = WeakRef(aq_base(app._getOb("from")))  # since it was looked at
    transaction.commit()

    with pytest.raises(AssertionError):
        push_of.carry_out()
    transaction.abort()

    add(app, "later")
    transaction.commit()
    assert "copy" not in app.objectIds()


def test_who_is_told_of_the_copy_changes_neither_owner_nor_local_roles_nor_dates(app: Any) -> None:
    source = app._getOb("from")._getOb("two")
    inner = add(source, "inner")
    for each in (source, inner):
        each._owner = (["acl_users"], "medur")
        each.manage_setLocalRoles("medur", ["Owner"])
        each.modification_date = DateTime("2020/01/02")
    transaction.commit()

    def meddle(event: Any) -> None:
        thing = event.object
        thing._owner = None
        thing.manage_setLocalRoles("admin", ["Owner"])
        thing.__ac_local_roles__["medur"].append("Manager")
        thing.modification_date = DateTime()
        thing.number = 7

    provideHandler(meddle, (IObjectAddedEvent,))
    try:
        push(app, "/from/two", "/copy")
    finally:
        getGlobalSiteManager().unregisterHandler(meddle, (IObjectAddedEvent,))

    copy = app._getOb("copy")
    app._p_jar.cacheMinimize()
    assert copy._owner == (["acl_users"], "medur")
    assert copy.__ac_local_roles__ == {"medur": ["Owner"]}
    assert (
        copy.modification_date == copy._getOb("inner").modification_date == DateTime("2020/01/02")
    )
    assert copy.number == 7


def test_who_is_told_of_the_copy_may_do_what_the_site_wants(app: Any) -> None:
    asked = []

    def ask(event: Any) -> None:
        asked.append(getSecurityManager().checkPermission("Manage users", event.object))

    newSecurityManager(None, nobody)
    provideHandler(ask, (IObjectAddedEvent,))
    try:
        push(app, "/from/two", "/copy")
        assert getSecurityManager().getUser() is nobody
    finally:
        getGlobalSiteManager().unregisterHandler(ask, (IObjectAddedEvent,))
        noSecurityManager()

    assert asked == [1]


def test_a_value_whose_class_is_gone_is_told(app: Any) -> None:
    product = types.ModuleType("gone")
    product.Value = type("Value", (), {"__module__": "gone"})  # type: ignore[attr-defined]
    thing = add(app._getOb("from")._getOb("two"), "thing")
    sys.modules["gone"] = product
    try:
        thing.value = [product.Value()]
        thing.text = "lookscposixpath\njoin\n"  # as a class in a pickle would
        transaction.commit()
    finally:
        del sys.modules["gone"]
    app._p_jar.cacheMinimize()

    with pytest.raises(Refused, match=r"two/thing holds a value of the class gone.Value, which"):
        push(app, "/from/two", "/copy")


def test_a_text_that_looks_like_a_class_is_a_text(app: Any) -> None:
    app._getOb("from")._getOb("two").text = "cnowhere.to\nfind\n"
    transaction.commit()

    push(app, "/from/two", "/copy")

    assert app._getOb("copy").text == "cnowhere.to\nfind\n"


@pytest.mark.parametrize("path", ["/method/copy", "/method/objectIds/copy", "/from/two/title/x"])
def test_what_is_no_folder_takes_nothing(app: Any, path: str) -> None:
    app._setObject("method", DTMLMethod("", __name__="method"), set_owner=0)
    transaction.commit()

    with pytest.raises(Refused, match=r"not a folder|there is no"):
        push(app, "/from/two", path)
