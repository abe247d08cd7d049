"""Folders are read as they are stored: with attributes, or with a tree."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from BTrees.OOBTree import OOBTree
from OFS.Folder import Folder
from Products.BTreeFolder2.BTreeFolder2 import BTreeFolder2
from ZODB import DB
from ZODB.MappingStorage import MappingStorage

from zmount.effects.raw_folders import entry, ids, is_listed, tree_items, tree_value
from zmount.effects.raw_records import RawDatabase, Record, Reference


@pytest.fixture
def storage() -> Iterator[MappingStorage]:
    storage = MappingStorage()
    yield storage
    storage.close()


def stored(storage: MappingStorage, thing: object) -> tuple[RawDatabase, Record]:
    """Commit THING and return its record."""
    with DB(storage).transaction() as connection:
        connection.root()["thing"] = thing
    database = RawDatabase(storage, "test")
    record = database.referred(database.root()["thing"])
    assert record is not None
    return database, record


@pytest.mark.parametrize("size", [0, 1, 2, 30, 31, 32, 5000])
def test_a_tree_of_any_size_gives_each_of_its_items(storage: MappingStorage, size: int) -> None:
    tree = OOBTree()
    for number in range(size):
        tree[f"id{number:05}"] = number
    database, record = stored(storage, tree)
    reference = Reference(oid=record.oid)

    assert list(tree_items(database, reference)) == list(tree.items())
    assert [tree_value(database, reference, key) for key in tree] == list(range(size))
    assert tree_value(database, reference, "absent") is None
    assert tree_value(database, reference, "zzz") is None


def test_a_tree_that_was_thinned_out_is_read_too(storage: MappingStorage) -> None:
    tree = OOBTree({f"id{number:05}": number for number in range(1000)})
    for number in range(1000):
        if number % 97:
            del tree[f"id{number:05}"]
    database, record = stored(storage, tree)

    assert list(tree_items(database, Reference(oid=record.oid))) == list(tree.items())


@pytest.mark.parametrize("kind", [Folder, BTreeFolder2])
def test_a_folder_gives_what_it_holds_and_lists(storage: MappingStorage, kind: type) -> None:
    folder = kind("thing")
    folder._setObject("below", Folder("below"))
    folder.title = "not an object"
    database, record = stored(storage, folder)

    assert isinstance(entry(database, record, "below"), Reference)
    assert entry(database, record, "absent") is None
    assert entry(database, record, "title") == "not an object"
    assert is_listed(record, "below")
    assert ids(database, record) == ("below",)


def test_an_object_that_its_folder_does_not_list_is_told(storage: MappingStorage) -> None:
    folder = Folder("thing")
    folder.hidden = Folder("hidden")
    database, record = stored(storage, folder)

    assert isinstance(entry(database, record, "hidden"), Reference)
    assert not is_listed(record, "hidden")


def test_only_the_first_ids_of_a_large_folder_are_read(storage: MappingStorage) -> None:
    folder = BTreeFolder2("thing")
    for number in range(500):
        folder._setOb(f"id{number:03}", Folder(f"id{number:03}"))
    database, record = stored(storage, folder)

    assert ids(database, record) == tuple(f"id{number:03}" for number in range(10))
