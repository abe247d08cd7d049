"""Every state that a mount point can be in is told from the records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import transaction
from OFS.Application import Application
from OFS.Folder import Folder
from Products.BTreeFolder2.BTreeFolder2 import BTreeFolder2
from Products.ZODBMountPoint.MountedObject import MountedObject, setMountPoint
from ZODB import DB
from ZODB.MappingStorage import MappingStorage

from zmount.effects.raw_records import RawDatabase
from zmount.effects.raw_roots import Content, MountState, RawRoot
from zmount.topology.instances import Instance
from zmount.topology.load import load

CONF = """
directory /nowhere
venv /nowhere/venv
<zeo zeo>
  address 127.0.0.1:8100
</zeo>
<site x/>
<storage catalog/>
<instance pub>
  <mount catalog>
    mount-point /home/x/catalog
  </mount>
</instance>
"""


class Databases:
    """Databases in memory, one for the root and one for each mount of ``pub``."""

    def __init__(self, tmp_path: Path) -> None:
        (tmp_path / "zmount.conf").write_text(CONF)
        self.instance: Instance = load(tmp_path / "zmount.conf").instance("pub")
        self.storages = {mount.name: MappingStorage() for mount in self.instance.mounts}
        self._all: dict[str, DB] = {}
        for name, storage in self.storages.items():
            DB(storage, databases=self._all, database_name=name)

    def connections(self) -> tuple[Any, transaction.TransactionManager]:
        manager = transaction.TransactionManager()
        return self._all["main"].open(manager), manager

    @property
    def raw(self) -> RawRoot:
        return RawRoot(
            self.instance.mounts,
            {name: RawDatabase(storage, name) for name, storage in self.storages.items()},
        )

    def state(self, virtual: str = "/home/x") -> MountState:
        return {each.point.virtual: each for each in self.raw.mount_states()}[virtual]


@pytest.fixture
def databases(tmp_path: Path) -> Databases:
    return Databases(tmp_path)


def make(databases: Databases, name: str, build: Any) -> None:
    """Let BUILD(application, connection) fill the database NAME."""
    connection, manager = databases.connections()
    connection = connection.get_connection(name)
    root = connection.root()
    if "Application" not in root:
        root["Application"] = Application()
        manager.savepoint()
    build(root["Application"], connection)
    manager.commit()
    connection.close()


def home(app: Application, kind: type = Folder) -> Any:
    if "home" not in app.objectIds():
        app._setObject("home", kind("home"))
    return app.__dict__["home"]


def mount(container: Any, path: str, *, makes: bool = False) -> MountedObject:
    mounted = MountedObject(path)
    mounted._create_mount_points = makes
    setattr(container, mounted.id, mounted)
    container._objects = (*container._objects, {"id": mounted.id, "meta_type": "Folder"})
    setMountPoint(container, mounted.id, mounted)
    return mounted


def with_content(databases: Databases, name: str = "pub/x", *path: str) -> None:
    def build(app: Application, _: Any) -> None:
        here: Any = app
        for each in path or ("home", "x"):
            here._setObject(each, Folder(each))
            here = here.__dict__[each]

    make(databases, name, build)


def test_an_empty_root_lacks_the_parent(databases: Databases) -> None:
    state = databases.state()

    assert (state.state, state.detail) == ("parent missing", "/")
    assert state.content == Content(state="empty")


def test_a_root_without_the_parent_folder_names_it(databases: Databases) -> None:
    make(databases, "main", lambda app, _: None)

    assert (databases.state().state, databases.state().detail) == ("parent missing", "/home")


def test_a_deleted_mount_point_is_missing_although_it_is_remembered(databases: Databases) -> None:
    def build(app: Application, _: Any) -> None:
        folder = home(app)
        mount(folder, "/home/x")
        del folder.x
        folder._objects = ()

    make(databases, "main", build)

    assert databases.state().state == "missing"


def test_a_right_mount_point_with_its_object_is_ok(databases: Databases) -> None:
    make(databases, "main", lambda app, _: mount(home(app), "/home/x"))
    with_content(databases)

    state = databases.state()

    assert (state.state, state.makes_missing, state.holder) == ("ok", False, "main")
    assert state.content.state == "ok"
    assert state.content.class_name == "OFS.Folder.Folder"
    assert state.content.own_id == "x"


def test_a_mount_point_that_may_make_what_is_missing_is_told(databases: Databases) -> None:
    make(databases, "main", lambda app, _: mount(home(app), "/home/x", makes=True))

    assert databases.state().makes_missing


def test_a_mount_point_in_a_folder_with_a_tree_is_ok(databases: Databases) -> None:
    def build(app: Application, connection: Any) -> None:
        folder = home(app, BTreeFolder2)
        mounted = MountedObject("/home/x")
        folder._setOb("x", mounted)
        connection.add(mounted)
        setMountPoint(folder, "x", mounted)

    make(databases, "main", build)

    assert databases.state().state == "ok"


def test_an_object_in_the_way_shadows_and_its_class_is_named(databases: Databases) -> None:
    make(databases, "main", lambda app, _: home(app)._setObject("x", Folder("x")))

    assert (databases.state().state, databases.state().detail) == ("shadowed", "OFS.Folder.Folder")


def test_a_mount_point_made_for_another_path_is_told(databases: Databases) -> None:
    make(databases, "main", lambda app, _: mount(home(app), "/pub/x"))

    assert (databases.state().state, databases.state().detail) == ("wrong path", "/pub/x")


def test_a_mount_point_that_its_folder_does_not_show_is_told(databases: Databases) -> None:
    def build(app: Application, _: Any) -> None:
        mount(home(app), "/home/x")
        home(app)._objects = ()

    make(databases, "main", build)

    assert databases.state().state == "unlisted"


def test_a_mount_point_that_is_not_remembered_is_told(databases: Databases) -> None:
    def build(app: Application, _: Any) -> None:
        mount(home(app), "/home/x")
        home(app)._mount_points = {"x": MountedObject("/home/x")}

    make(databases, "main", build)

    assert databases.state().state == "forgotten"


def test_a_reference_into_another_database_is_told(databases: Databases) -> None:
    with_content(databases)

    def build(app: Application, connection: Any) -> None:
        other = connection.get_connection("pub/x").root()["Application"]
        home(app).x = other.__dict__["home"].__dict__["x"]

    make(databases, "main", build)

    state = databases.state()
    assert (state.state, state.detail) == ("cross-database reference", "pub/x")


def test_a_reference_to_nothing_is_in_the_way(databases: Databases) -> None:
    def build(app: Application, connection: Any) -> None:
        lost = Folder("x")
        home(app).x = lost
        connection.add(lost)
        databases.lost = lost._p_oid  # type: ignore[attr-defined]

    make(databases, "main", build)
    del databases.storages["main"]._data[databases.lost]  # type: ignore[attr-defined]

    assert (databases.state().state, databases.state().detail) == ("shadowed", "a damaged object")


def test_a_storage_without_the_real_path_says_what_it_holds_instead(databases: Databases) -> None:
    with_content(databases, "pub/x", "x")

    content = databases.state().content

    assert content == Content(state="missing", missing_at="home", holds=("acl_users", "x"))


def test_a_storage_with_another_root_object_is_not_empty(databases: Databases) -> None:
    connection, manager = databases.connections()
    connection.get_connection("pub/x").root()["Elsewhere"] = Application()
    manager.commit()

    content = databases.state().content

    assert content == Content(state="missing", missing_at="Application", holds=("Elsewhere",))


def test_a_mount_below_a_mount_is_found_in_the_mounted_storage(databases: Databases) -> None:
    make(databases, "main", lambda app, _: mount(home(app), "/home/x"))
    with_content(databases)

    def build(app: Application, _: Any) -> None:
        mount(home(app).__dict__["x"], "/home/x/catalog")

    assert databases.state("/home/x/catalog").state == "missing"
    make(databases, "pub/x", build)

    state = databases.state("/home/x/catalog")
    assert (state.state, state.holder) == ("ok", "pub/x")


def test_an_object_of_the_same_name_at_the_root_is_not_taken_for_the_site(
    databases: Databases,
) -> None:
    """Zope's traversal would acquire it, and report that something is in the way."""

    def build(app: Application, _: Any) -> None:
        home(app)
        app._setObject("x", Folder("x"))

    make(databases, "main", build)
    app = databases.connections()[0].root()["Application"]
    assert app.unrestrictedTraverse("/home/x").getPhysicalPath() == ("", "x")

    assert databases.state().state == "missing"


def test_users_are_seen_and_their_absence(databases: Databases) -> None:
    assert databases.raw.has_users() is False
    make(databases, "main", lambda app, _: None)
    assert databases.raw.has_users() is False

    make(
        databases, "main", lambda app, _: app.acl_users._doAddUser("me", "secret", ["Manager"], [])
    )

    assert databases.raw.has_users() is True


def test_a_user_folder_of_another_kind_counts_as_having_users(databases: Databases) -> None:
    def build(app: Application, _: Any) -> None:
        app._delObject("acl_users")
        app._setObject("acl_users", Folder("acl_users"))

    make(databases, "main", build)

    assert databases.raw.has_users() is True


def test_what_an_unreadable_storage_holds_is_unknown_not_absent(databases: Databases) -> None:
    make(databases, "main", lambda app, _: mount(home(app), "/home/x"))
    del databases.storages["pub/x"]

    assert databases.state().state == "ok"
    assert databases.state().content == Content(state="unknown")
    assert databases.state("/home/x/catalog").state == "unknown"
    assert databases.raw.exists("/home/x/front") is None
    assert databases.raw.exists("/home/y") is False


def test_what_stands_in_for_a_mount_point_says_that_it_is_off_line(databases: Databases) -> None:
    def build(app: Application, connection: Any) -> None:
        folder = home(app)
        stand_in = Folder("x")
        stand_in._zmount_offline = {
            "since": "2026-11-26T04:11:34+00:00",
            "reason": "it never ends",
            "by": None,
            "mount_point": MountedObject("/home/x"),
        }
        folder._setObject("x", stand_in)

    make(databases, "main", build)

    state = databases.state()
    assert state.state == "off-line"
    assert state.detail == "since 2026-11-26T04:11:34+00:00: it never ends"
    assert state.content == Content(state="unknown")  # it was not read
    assert databases.raw.state("/home/x") == (state.state, state.detail)
