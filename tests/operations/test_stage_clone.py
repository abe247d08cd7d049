"""``zmount clone`` of a stage, with real ZEO servers and with the files alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transaction
from persistent.mapping import PersistentMapping
from stage_writer import BLOBS, writing
from swapping import CONF, PRODUCTION, STAGING, Swaps, root_of
from ZODB import DB
from ZODB.blob import Blob
from ZODB.FileStorage import FileStorage
from ZODB.POSException import POSKeyError
from ZODB.utils import load_current

from zmount.errors import StorageUnreadable
from zmount.filestorage.clone import Cloned
from zmount.filestorage.verify import verify
from zmount.operations.clone import clone

Make = Callable[[str], Swaps]


@pytest.fixture
def staged(make: Make) -> Swaps:
    """Two sites' ZEO server; staging shows production and has every kind of change."""
    swaps = make(CONF)
    swaps.write(PRODUCTION, number=1, item=PersistentMapping(of="production"))
    for number in range(3):
        swaps.write(PRODUCTION, **{f"blob{number}": Blob(b"production %d" % number)})
    swaps.start()
    swaps.swap()
    swaps.write(STAGING, item=PersistentMapping(of="staging"), number=2)
    swaps.write(STAGING, new=Blob(b"staging"))
    swaps.write(STAGING, undone=1)
    undo_last(swaps)
    change_blob(swaps, "blob1", b"changed")
    change_blob(swaps, "blob2", b"to be undone")
    undo_last(swaps)
    return swaps


def undo_last(swaps: Swaps) -> None:
    database = swaps.client(STAGING, blob_dir=str(swaps.deployment.directory / "c"))
    manager = transaction.TransactionManager()
    database.undo(database.undoLog(0, 1)[0]["id"], manager.get())
    manager.commit()


def change_blob(swaps: Swaps, name: str, content: bytes) -> None:
    database = swaps.client(STAGING, blob_dir=str(swaps.deployment.directory / "c"))
    with database.transaction() as connection, connection.root()[name].open("w") as file:
        file.write(content)


def cloned(swaps: Swaps, target: Path, watch: Callable[..., Any] = lambda *told: None) -> Cloned:
    deployment = swaps.deployment
    return clone(deployment.topology, deployment.host, STAGING, target, watch).clone


def must_show_what_clients_see(swaps: Swaps, made: Cloned) -> None:
    """Compare every object of the clone with what a ZEO client reads, byte for byte."""
    found = verify(made.data_fs, blob_dir=made.blob_dir)
    assert found.findings == (), [str(each) for each in found.findings]
    cache = swaps.deployment.directory / f"cache-{len(swaps.databases)}"
    client = swaps.client(STAGING, blob_dir=str(cache)).storage
    storage = FileStorage(str(made.data_fs), blob_dir=str(made.blob_dir), read_only=True)
    blobs = 0
    for oid in list(storage._index):
        try:
            data, tid = load_current(storage, oid)
        except POSKeyError:
            with pytest.raises(POSKeyError):
                load_current(client, oid)
            continue
        assert (data, tid) == load_current(client, oid)
        if storage.is_blob_record(data):
            blobs += 1
            ours = Path(storage.loadBlob(oid, tid)).read_bytes()
            assert ours == Path(client.loadBlob(oid, tid)).read_bytes()
    assert blobs >= 3
    assert len(storage) == len(client)
    assert storage.lastTransaction() == client.lastTransaction()
    storage.close()


def test_of_a_served_stage(staged: Swaps, tmp_path: Path) -> None:
    staged.write(PRODUCTION, later=1)

    done = staged.deployment.zmount("clone", STAGING, str(tmp_path / "copy"), "--json")

    assert (done.returncode, done.stderr) == (0, "")
    said = json.loads(done.stdout)
    assert said["data_fs"] == str(tmp_path / "copy" / "Data.fs")
    made = cloned(staged, tmp_path / "again")
    assert made.data_fs.read_bytes() == Path(said["data_fs"]).read_bytes()
    must_show_what_clients_see(staged, made)
    database = DB(FileStorage(str(made.data_fs), blob_dir=str(made.blob_dir)))
    root = root_of(database)
    assert (root["number"], root["item"]) == (2, {"of": "staging"})
    assert "undone" not in root
    assert "later" not in root
    with database.transaction() as connection:
        found = {name: connection.root()[name].open().read() for name in ("blob1", "blob2", "new")}
    assert found == {"blob1": b"changed", "blob2": b"production 2", "new": b"staging"}
    database.close()


def test_of_a_stage_that_is_down(staged: Swaps, tmp_path: Path) -> None:
    for database in staged.databases:
        database.close()
    staged.databases.clear()
    staged.stop()
    made = cloned(staged, tmp_path / "copy")

    staged.start()

    must_show_what_clients_see(staged, made)


def test_while_it_is_written_to(staged: Swaps, tmp_path: Path) -> None:
    with writing(staged, tmp_path / "cache"):
        made = [cloned(staged, tmp_path / str(number)) for number in range(5)]
    tids = [each.last_tid for each in made]
    assert tids == sorted(set(tids)), "each is a later moment"
    for each in made:
        found = verify(each.data_fs, blob_dir=each.blob_dir)
        assert found.findings == (), [str(finding) for finding in found.findings]
        opened = DB(FileStorage(str(each.data_fs), blob_dir=str(each.blob_dir)))
        with opened.transaction() as connection:
            count = connection.root()["count"]
            assert connection.root()[f"blob {count % BLOBS}"].open().read() == b"%d" % count
        opened.close()
    must_show_what_clients_see(staged, cloned(staged, tmp_path / "last"))


def test_after_packs_of_production_and_of_the_stage(staged: Swaps, tmp_path: Path) -> None:
    staged.write(PRODUCTION, blob0=Blob(b"another"))
    for storage in (PRODUCTION, STAGING):
        done = staged.deployment.zmount("pack", "--days", "0", storage)
        assert done.returncode == 0, done.stderr

    must_show_what_clients_see(staged, cloned(staged, tmp_path / "copy"))

    staged.swap(drops_changes=True)
    staged.write(STAGING, draft=Blob(b"draft"))
    must_show_what_clients_see(staged, cloned(staged, tmp_path / "of the next"))


def test_of_a_copy_of_production(staged: Swaps, tmp_path: Path) -> None:
    staged.swap(mode="copy", drops_changes=True)
    change_blob(staged, "blob1", b"of the copy")

    must_show_what_clients_see(staged, cloned(staged, tmp_path / "copy"))


def test_after_an_undo_it_is_the_plain_file_again(staged: Swaps, tmp_path: Path) -> None:
    assert staged.swap(undoes=True, drops_changes=True).done == "undone"
    staged.write(STAGING, plain=1)

    made = cloned(staged, tmp_path / "copy")

    database = DB(FileStorage(str(made.data_fs), read_only=True))
    assert root_of(database) == {"plain": 1}
    database.close()


def test_swaps_meanwhile_that_remove_what_is_copied(staged: Swaps, tmp_path: Path) -> None:
    swapped: list[str] = []

    def swap_twice(name: str, phase: str, done: int, of: int) -> None:
        if phase == "append" and not swapped:
            for number in range(3):  # one is kept, so the one that is copied goes
                staged.write(PRODUCTION, number=10 + number)
                swapped.append(staged.swap(drops_changes=True).done)

    made = cloned(staged, tmp_path / "copy", swap_twice)

    assert swapped == ["swapped"] * 3
    database = DB(FileStorage(str(made.data_fs), blob_dir=str(made.blob_dir), read_only=True))
    assert root_of(database)["number"] == 12
    database.close()
    found = verify(made.data_fs, blob_dir=made.blob_dir)
    assert found.findings == (), [str(each) for each in found.findings]


def test_of_a_broken_generation_it_says_what_is_wrong(staged: Swaps, tmp_path: Path) -> None:
    generations = Path(str(staged.deployment.topology.storage(STAGING).stage.generations))
    (generations / "current").unlink()
    (generations / "current").symlink_to("gen-000099")

    with pytest.raises(StorageUnreadable, match="it names gen-000099, which is not there") as said:
        cloned(staged, tmp_path / "copy")

    assert str(said.value).startswith(f"{STAGING}: {generations}/current: ")
    assert not (tmp_path / "copy").exists()
