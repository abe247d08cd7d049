"""Mount points and references to other databases are found wherever they are in a root."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import transaction
from OFS.Application import Application
from OFS.Folder import Folder
from persistent.mapping import PersistentMapping
from Products.BTreeFolder2.BTreeFolder2 import BTreeFolder2
from Products.ZODBMountPoint.MountedObject import MountedObject
from ZODB import DB
from ZODB.FileStorage import FileStorage

from zmount.effects.raw_file import DataFile
from zmount.effects.raw_found import FoundReference, found_near
from zmount.effects.raw_records import RawDatabase
from zmount.effects.raw_search import found_anywhere


class Plain:
    """A storage that is no file: what a ZEO server gives."""

    def __init__(self, file: DataFile) -> None:
        self.file = file

    def loadBefore(self, oid: bytes, tid: bytes) -> Any:
        """Return what the file has."""
        return self.file.loadBefore(oid, tid)

    def close(self) -> None:
        """Close the file."""
        self.file.close()


@pytest.fixture(params=["file", "server"])
def database(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[RawDatabase]:
    """A root with folders, plain and with trees, mount points and references in them."""
    fill(tmp_path)
    file = DataFile(tmp_path / "Root.fs")
    opened = RawDatabase(file if request.param == "file" else Plain(file), "root")
    yield opened
    opened.close()


def fill(directory: Path) -> None:
    """Write the databases."""
    all_: dict[str, DB] = {}
    for name in ("Root", "Other"):
        DB(FileStorage(str(directory / f"{name}.fs")), databases=all_, database_name=name)
    connection = all_["Root"].open()
    other = connection.get_connection("Other")
    app = connection.root()["Application"] = Application()
    other.root()["there"] = Folder("there")
    other.root()["too"] = PersistentMapping()
    transaction.commit()
    plain = put(app, Folder("plain"))
    put(plain, MountedObject("/plain/m"))
    plain._mount_points = {"gone": MountedObject("/plain/gone")}
    many = put(put(app, Folder("deep")), BTreeFolder2("many"))
    for number in range(200):
        many._tree[f"f{number:03}"] = Folder(f"f{number:03}")
    many._tree["m"] = MountedObject("/elsewhere/m")
    many._tree["x"] = other.root()["there"]
    put(many._tree["f150"], MountedObject("/deep/many/f150/n"))
    many._tree["f151"].extra = PersistentMapping({"y": other.root()["too"]})
    transaction.commit()
    connection.close()
    for each in all_.values():
        each.close()


def put(parent: Any, thing: Any) -> Any:
    """Put THING into PARENT, without Zope's events."""
    setattr(parent, thing.id, thing)
    parent._objects = (*parent._objects, {"id": thing.id, "meta_type": "Folder"})
    return thing


def told(found: tuple[FoundReference, ...]) -> dict[str, str]:
    """Return by path what a mount point was made for, or which database is referred to."""
    return {
        each.path: each.mounted_path if each.mounted_path is not None else each.reference.database
        for each in found
    }


def test_all_is_found_with_its_path(database: RawDatabase) -> None:
    assert told(found_anywhere(database, lambda said: None)) == {
        "/plain/m": "/plain/m",
        "/deep/many/m": "/elsewhere/m",
        "/deep/many/x": "Other",
        "/deep/many/f150/n": "/deep/many/f150/n",
        "/deep/many/f151/extra": "Other",
    }


def test_a_near_look_finds_what_is_in_folders_on_the_way(database: RawDatabase) -> None:
    assert told(found_near(database, ["/plain"])) == {"/plain/m": "/plain/m"}
    assert told(found_near(database, ["/deep/many"])) == {
        "/deep/many/m": "/elsewhere/m",
        "/deep/many/x": "Other",
    }


def test_the_search_says_how_far_it_is(
    database: RawDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zmount.effects.raw_search.EVERY", 100)
    said: list[str] = []

    found_anywhere(database, said.append)

    assert said
    assert all(text.endswith(" objects") for text in said)


def test_an_empty_database_has_nothing() -> None:
    assert found_anywhere(RawDatabase(None, "none"), lambda said: None) == ()
