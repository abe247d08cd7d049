"""A preview of a pack leaves no trace."""

from __future__ import annotations

import time
from pathlib import Path

import ZODB
from persistent.mapping import PersistentMapping
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage
from ZODB.serialize import referencesf

from zmount.filestorage.foreign import foreign_oids
from zmount.filestorage.preview import preview

NOW = 2**64 - 1


def two_databases(directory: Path) -> None:
    """Write main.fs, which refers to an object of site.fs that nothing else refers to."""
    databases: dict[str, ZODB.DB] = {}
    for name in ("main", "site"):
        path = str(directory / f"{name}.fs")
        ZODB.DB(FileStorage(path), database_name=name, databases=databases)
    with databases["main"].transaction() as connection:
        site = connection.get_connection("site")
        site.root()["page"] = PersistentMapping()
        connection.transaction_manager.commit()
        connection.root()["elsewhere"] = site.root()["page"]
    with databases["site"].transaction() as connection:
        del connection.root()["page"]
    for database in databases.values():
        database.close()
    (directory / "site.fs.referrers").write_text(f"referrer site {directory / 'main.fs'}\n")


def contents(directory: Path) -> dict[str, tuple[bytes, int]]:
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in directory.iterdir()}


def test_a_preview_of_a_storage_that_others_refer_to_writes_no_file(tmp_path: Path) -> None:
    two_databases(tmp_path)
    before = contents(tmp_path)

    said = preview(tmp_path / "site.fs", NOW)

    assert contents(tmp_path) == before
    assert said["result"] == "packed"  # of the root an old revision goes
    assert said["objects_dropped"] == 0


def test_a_preview_uses_what_a_pack_remembered(tmp_path: Path) -> None:
    two_databases(tmp_path)
    remembered = tmp_path / "main.fs.references"
    found = foreign_oids(tmp_path / "site.fs", lambda phase, done, total: None)
    assert len(found) == 1
    known = remembered.read_text()
    remembered.write_text(known.replace(f"{found[0]:#x}", "0x4711"))
    before = contents(tmp_path)

    said = preview(tmp_path / "site.fs", NOW)

    assert contents(tmp_path) == before
    assert said["dangling"] == [{"oid": "0x4711", "holder": None}]


def test_a_file_of_empty_transactions_has_nothing_to_free_as_in_a_pack(tmp_path: Path) -> None:
    path = tmp_path / "Data.fs"
    storage = FileStorage(str(path))
    transaction = TransactionMetaData(description="nothing")
    storage.tpc_begin(transaction)
    storage.tpc_vote(transaction)
    storage.tpc_finish(transaction)
    size = storage.getSize()
    storage.pack(time.time() + 1, referencesf)
    assert storage.getSize() == size
    storage.close()

    said = preview(path, NOW, gc=False)

    assert (said["result"], said["size_after"]) == ("nothing to free", size)
