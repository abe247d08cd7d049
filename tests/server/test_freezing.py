"""The index of a storage that is written to while it is frozen is that of one moment."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import transaction
from persistent.mapping import PersistentMapping
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage
from ZODB.fsIndex import fsIndex
from ZODB.utils import p64

from zmount.server.freezing import Moment, freeze_storage
from zmount.server.generation import Generation

GROUPS = 300  # of oids; the index has a bucket for each
FAR = 1 << 20  # between two groups


@pytest.fixture
def database(tmp_path: Path) -> Iterator[DB]:
    """A storage whose index has many buckets."""
    storage = FileStorage(str(tmp_path / "Data.fs"))
    with closing(DB(storage)) as database:
        with database.transaction() as connection:
            for number in range(GROUPS):
                storage.set_max_oid(p64(number * FAR))
                connection.root()[number] = each = PersistentMapping(number=0)
                connection.add(each)
        yield database


@contextmanager
def written_to(database: DB) -> Iterator[None]:
    """Let a thread change objects of all groups, and create more, all the time."""
    is_over = threading.Event()

    def write() -> None:
        with closing(database.open(transaction.TransactionManager())) as connection:
            number = 0
            while not is_over.is_set():
                connection.root()[number % GROUPS][number] = PersistentMapping()
                connection.transaction_manager.commit()
                number += 7

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def scanned(moment: Moment, path: Path, directory: Path) -> fsIndex:
    """Return the index that FileStorage makes of the file PATH up to MOMENT."""
    copy = directory / "scanned.fs"
    copy.write_bytes(path.read_bytes()[: moment.end])
    with closing(FileStorage(str(copy), read_only=True)) as storage:
        assert storage.lastTransaction() == moment.tid
        return storage._index


def test_an_index_taken_piece_by_piece_is_that_of_one_moment(database: DB, tmp_path: Path):
    with written_to(database):
        for number in range(1, 11):
            new = Generation(tmp_path / f"gen-{number:06d}.new")
            new.path.mkdir()
            moment = freeze_storage(database.storage, new)

            saved = fsIndex.load(str(new.base.with_name("base.fs.index")))
            assert saved["pos"] == moment.end
            assert dict(saved["index"].items()) == dict(scanned(moment, new.base, tmp_path).items())
