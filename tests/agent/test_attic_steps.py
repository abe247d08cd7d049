"""Objects go to the attic and come back as they were, whatever they are."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import transaction
from OFS.Application import Application
from OFS.Folder import Folder
from OFS.SimpleItem import SimpleItem
from Products.BTreeFolder2.BTreeFolder2 import BTreeFolder2
from ZODB import DB
from ZODB.broken import Broken
from ZODB.FileStorage import FileStorage
from ZODB.MappingStorage import MappingStorage
from ZODB.utils import p64
from Zope2.App.ClassFactory import ClassFactory

from zmount.agent.attic import ATTIC
from zmount.agent.attic_steps import drop_from_attic, move_to_attic, restore_from_attic
from zmount.agent.paths import NothingToDo, Refused, raw
from zmount.agent.steps import carry_out


class Root:
    """An instance's root in a file, opened as Zope opens it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with self.application(new=True):
            pass

    @contextmanager
    def application(self, *, new: bool = False) -> Iterator[Any]:
        """Yield the Application; what is done with it is committed."""
        databases: dict[str, Any] = {}
        DB(MappingStorage(), databases=databases, database_name="other")
        database = DB(FileStorage(str(self.path)), databases=databases, database_name="main")
        database.classFactory = ClassFactory
        connection = database.open()
        try:
            if new:
                connection.root()["Application"] = Application()
            yield connection.root()["Application"]
            transaction.commit()
        finally:
            transaction.abort()
            connection.close()
            for each in databases.values():
                each.close()


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path / "Data.fs")


@pytest.fixture
def gone() -> Iterator[type]:
    """A class whose module is there while the test stores an object of it, then no more."""
    module = types.ModuleType("a_product_of_old")

    class Page(SimpleItem):
        id = "page"
        meta_type = "Page of old"

        def __setstate__(self, state: Any) -> None:
            raise AssertionError("it was loaded")

    Page.__module__, Page.__qualname__ = module.__name__, "Page"
    module.Page = Page  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    yield Page
    sys.modules.pop(module.__name__, None)


def attic(app: Any) -> Any:
    return raw(app, ATTIC)


def move(app: Any, path: str) -> str:
    return str(move_to_attic(app, set(), path=path, reason="it was in the way"))


def test_an_object_lies_in_a_folder_of_its_own_that_tells_its_story(root: Root) -> None:
    with root.application() as app:
        app._setObject("home", Folder("home"))
        app.home._setObject("x", Folder("x"))
        app.home.x._setObject("page", Folder("page"))
        transaction.savepoint()
        slot = move(app, "/home/x")

    with root.application() as app:
        assert app.home.objectIds() == []
        folder = attic(app)._getOb(slot)
        assert slot.startswith("x.2")
        assert folder.objectIds() == ["x"]
        assert folder.x.objectIds() == ["page"]
        assert folder.getProperty("original_path") == "/home/x"
        assert folder.getProperty("reason") == "it was in the way"
        assert folder.getProperty("moved_at")[:8].replace("-", "") == slot[2:8]


def test_only_managers_may_look_into_the_attic(root: Root) -> None:
    with root.application() as app:
        app._setObject("x", Folder("x"))
        move(app, "/x")
        for permission in ("View", "Access contents information", "View management screens"):
            roles = attic(app).__of__(app).rolesOfPermission(permission)
            assert [each["name"] for each in roles if each["selected"]] == ["Manager"]
            assert not attic(app).__of__(app).acquiredRolesAreUsedBy(permission)


def test_no_event_tells_what_is_moved_that_it_is(root: Root, gone: type) -> None:
    called: list[str] = []

    class Tells(Folder):
        def manage_beforeDelete(self, item: Any, container: Any) -> None:
            called.append("delete")

        manage_afterAdd = manage_beforeDelete

    Tells.__module__, Tells.__qualname__ = gone.__module__, "Tells"
    sys.modules[gone.__module__].Tells = Tells  # type: ignore[attr-defined]
    with root.application() as app:
        app._setOb("x", Tells("x"))
        app._objects += ({"id": "x", "meta_type": "Folder"},)
        transaction.savepoint()
        move(app, "/x")
    assert called == []


def test_an_object_whose_class_is_gone_moves_there_and_back(root: Root, gone: type) -> None:
    with root.application() as app:
        page = gone()
        page.text = "kept"
        app._setOb("page", page)
        app._objects = (*app._objects, {"id": "page", "meta_type": "Page of old"})
    del sys.modules[gone.__module__]
    del gone.__setstate__  # the product is back later, and loads its objects

    with root.application() as app:
        assert isinstance(raw(app, "page"), Broken)
        slot = move(app, "/page")
        transaction.savepoint()
        assert attic(app)._getOb(slot)._objects == ({"id": "page", "meta_type": "Page of old"},)
    with root.application() as app:
        with pytest.raises(Refused, match="its class is gone"):
            restore_from_attic(app, set(), slot=slot, path="/other")
        restore_from_attic(app, set(), slot=slot, path="/page")
    sys.modules[gone.__module__] = types.ModuleType(gone.__module__)
    sys.modules[gone.__module__].Page = gone  # type: ignore[attr-defined]
    with root.application() as app:
        assert app.page.text == "kept"


def test_an_object_whose_record_is_lost_moves_all_the_same(root: Root) -> None:
    with root.application() as app:
        app._setObject("x", Folder("x"))
        transaction.savepoint()
        lost = Folder.__new__(Folder)
        lost._p_jar, lost._p_oid = app._p_jar, p64(0x1234567)
        app._setOb("x", lost)
    with root.application() as app:
        slot = move(app, "/x")
    with root.application() as app:
        assert attic(app)._getOb(slot).objectIds() == ["x"]
        assert "x" not in app.objectIds()


def test_a_folder_with_a_tree_gives_and_takes_back(root: Root) -> None:
    with root.application() as app:
        app._setObject("home", BTreeFolder2("home"))
        for name in ("x", "y"):
            app.home._setObject(name, Folder(name))
        transaction.savepoint()
        slot = move(app, "/home/x")
        assert list(app.home.objectIds()) == ["y"]
        assert app.home.objectCount() == 1
    with root.application() as app:
        restore_from_attic(app, set(), slot=slot, path="/home/x")
        assert list(app.home.objectIds()) == ["x", "y"]
        assert app.home.objectCount() == 2
        assert list(app.home.objectIds("Folder")) == ["x", "y"]


def test_an_object_comes_back_to_its_place_among_the_others(root: Root) -> None:
    with root.application() as app:
        for name in ("a", "b", "c"):
            app._setObject(name, Folder(name))
        slot = move(app, "/b")
        restore_from_attic(app, set(), slot=slot, path="/b")
        assert app.objectIds()[-4:] == ["a", "b", "c", ATTIC]
        assert attic(app).objectIds() == []


def test_an_object_comes_back_under_another_name(root: Root) -> None:
    with root.application() as app:
        app._setObject("b", Folder("b"))
        slot = move(app, "/b")
        restore_from_attic(app, set(), slot=slot, path="/found")
        assert app.found.getId() == "found"


def test_nothing_is_put_where_something_is(root: Root) -> None:
    with root.application() as app:
        app._setObject("x", Folder("x"))
        slot = move(app, "/x")
        app._setObject("x", Folder("x"))
        with pytest.raises(Refused, match="something is at /x already"):
            restore_from_attic(app, set(), slot=slot, path="/x")
        assert attic(app).objectIds() == [slot]


def test_two_objects_of_one_name_and_second_have_folders_of_their_own(root: Root) -> None:
    with root.application() as app:
        slots = set()
        for _ in range(3):
            app._setObject("x", Folder("x"))
            slots.add(move(app, "/x"))
        assert len(slots) == 3
        assert set(attic(app).objectIds()) == slots


def test_what_is_dropped_is_gone_and_dropping_it_again_is_nothing(root: Root) -> None:
    with root.application() as app:
        app._setObject("x", Folder("x"))
        slot = move(app, "/x")
        drop_from_attic(app, set(), slot=slot)
        assert attic(app).objectIds() == []
        with pytest.raises(NothingToDo):
            drop_from_attic(app, set(), slot=slot)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        (f"/{ATTIC}", "in the attic already"),
        ("/offline", "is off-line"),
        ("/reference", "a reference into another database"),
        ("/none/x", "there is no none"),
    ],
)
def test_what_must_not_move_stays(root: Root, path: str, why: str) -> None:
    with root.application() as app:
        app._setObject("x", Folder("x"))
        app._setObject("offline", Folder("offline"))
        app.offline._zmount_offline = {"since": "today"}
        other = app._p_jar.get_connection("other")
        other.root()["x"] = Folder("reference")
        other.add(other.root()["x"])
        transaction.savepoint()
        app._setOb("reference", other.root()["x"])
        move(app, "/x")
        with pytest.raises(Refused, match=why):
            move(app, path)
        app._delOb("reference")


def test_an_attic_that_somebody_else_made_is_left_alone(root: Root) -> None:
    with root.application() as app:
        app._setObject(ATTIC, Folder(ATTIC))
        app._setObject("x", Folder("x"))
        result = carry_out(app, [{"step": "move_to_attic", "path": "/x", "reason": ""}], "test")
        assert result["refused"] == [[0, f"/{ATTIC} is not zmount's: something else is there"]]
        assert "x" in app.objectIds()
