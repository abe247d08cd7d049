"""A FileStorage of empty transactions, as undone swaps leave it."""

from __future__ import annotations

from pathlib import Path

import pytest
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage
from ZODB.utils import z64

from zmount.server.changes_file import ChangesFile


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    path = tmp_path / "changes.fs"
    storage = FileStorage(str(path))
    for _ in range(2):
        mark = TransactionMetaData("zmount", "production's content took this one's place")
        storage.tpc_begin(mark)
        storage.tpc_vote(mark)
        storage.tpc_finish(mark)
    storage.close()  # with an index
    return path


def test_stock_filestorage_does_not_open_it(marked: Path) -> None:
    with pytest.raises(OSError, match="Invalid argument"):
        FileStorage(str(marked))


@pytest.mark.parametrize("read_only", [False, True])
def test_ours_opens_it_and_knows_its_last_transaction(marked: Path, read_only: bool) -> None:
    storage = ChangesFile(str(marked), read_only=read_only)

    assert len(storage) == 0
    assert storage.lastTransaction() > z64
    storage.close()
