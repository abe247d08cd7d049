"""A data file read beside its owner gives what FileStorage gives, whatever its index says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import transaction
from persistent.mapping import PersistentMapping
from ZODB import DB
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage
from ZODB.utils import load_current, maxtid, p64, z64

from zmount.effects.raw_file import DataFile
from zmount.errors import StorageUnreadable


@pytest.fixture
def database(tmp_path: Path) -> Iterator[DB]:
    """A database that is open, with a mapping of 20 mappings, edited twice."""
    opened = DB(FileStorage(str(tmp_path / "Data.fs")))
    edit(opened, range(20))
    edit(opened, range(10))
    yield opened
    opened.close()


def edit(database: DB, numbers: range) -> None:
    """Write into the mappings of these NUMBERS."""
    with database.transaction() as connection:
        for number in numbers:
            root = connection.root()
            mapping = root.setdefault(number, PersistentMapping())
            mapping["n"] = mapping.get("n", 0) + 1


def same(database: DB, path: Path) -> bool:
    """True if the file at PATH, read raw, holds what the open DATABASE holds."""
    file = DataFile(path)
    try:
        storage = database.storage
        oids = list(storage._index)
        assert len(file) == len(storage)
        return all(file.loadBefore(oid, maxtid)[:2] == load_current(storage, oid) for oid in oids)
    finally:
        file.close()


def test_a_file_without_an_index_is_read(database: DB, tmp_path: Path) -> None:
    (tmp_path / "Data.fs.index").unlink()
    assert same(database, tmp_path / "Data.fs")


def test_what_is_later_than_the_index_is_read(database: DB, tmp_path: Path) -> None:
    database.storage._save_index()
    assert same(database, tmp_path / "Data.fs")
    edit(database, range(5, 30))
    assert same(database, tmp_path / "Data.fs")


def test_an_index_of_another_file_is_not_believed(database: DB, tmp_path: Path) -> None:
    other = DB(FileStorage(str(tmp_path / "Other.fs")))
    for _ in range(4):
        edit(other, range(3))
    other.close()
    (tmp_path / "Other.fs.index").rename(tmp_path / "Data.fs.index")

    assert same(database, tmp_path / "Data.fs")


def test_an_index_that_is_wrong_only_further_up_is_noticed_at_the_record(
    database: DB, tmp_path: Path
) -> None:
    storage = database.storage
    right = dict(storage._index)
    first, second = (oid for oid in list(right)[11:13])
    storage._index[first] = right[second]
    storage._save_index()
    storage._index[first] = right[first]

    assert same(database, tmp_path / "Data.fs")


def test_an_index_that_is_garbage_is_no_matter(database: DB, tmp_path: Path) -> None:
    (tmp_path / "Data.fs.index").write_bytes(b"(nonsense")

    assert same(database, tmp_path / "Data.fs")


def test_an_undone_change_is_read_through_its_back_pointer(database: DB, tmp_path: Path) -> None:
    edit(database, range(1))
    database.undo(database.undoInfo(0, 1)[0]["id"])
    transaction.commit()

    assert same(database, tmp_path / "Data.fs")


def test_an_object_whose_creation_was_undone_is_not_there(database: DB, tmp_path: Path) -> None:
    edit(database, range(40, 41))
    oid = max(database.storage._index)
    database.undo(database.undoInfo(0, 1)[0]["id"])
    transaction.commit()
    file = DataFile(tmp_path / "Data.fs")

    assert file.loadBefore(oid, maxtid) is None
    assert file.loadBefore(p64(12345), maxtid) is None
    assert file.loadBefore(z64, maxtid) is not None
    file.close()


def test_a_transaction_that_is_being_voted_on_is_not_seen(database: DB, tmp_path: Path) -> None:
    storage, path = database.storage, tmp_path / "Data.fs"
    begun = TransactionMetaData()
    storage.tpc_begin(begun)
    storage.store(z64, load_current(storage, z64)[1], b"half", "", begun)
    storage.tpc_vote(begun)
    file = DataFile(path)
    try:
        assert file.loadBefore(z64, maxtid)[:2] == load_current(storage, z64)
    finally:
        storage.tpc_abort(begun)
        file.close()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"GIF89a and so on", "does not begin as a FileStorage does"),
        (b"FS21" + bytes(60), "Python 2 wrote this"),
    ],
)
def test_what_is_no_filestorage_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "Data.fs").write_bytes(content)

    with pytest.raises((StorageUnreadable, ValueError), match=said):
        DataFile(tmp_path / "Data.fs")
