"""The packer in a real FileStorage: what it keeps, refuses and reports."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ZODB
from persistent.mapping import PersistentMapping
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage
from ZODB.FileStorage.FileStorage import FileStorageError
from ZODB.POSException import POSKeyError
from ZODB.serialize import referencesf
from ZODB.utils import load_current, p64, u64

from zmount.filestorage.packer import pack
from zmount.filestorage.preview import preview

NOW = 2**64 - 1


@pytest.fixture
def data_fs(tmp_path: Path) -> Path:
    return tmp_path / "Data.fs"


@pytest.fixture
def storage(data_fs: Path) -> Iterator[FileStorage]:
    opened = FileStorage(str(data_fs), packer=pack)
    yield opened
    opened.close()


@pytest.fixture
def db(storage: FileStorage) -> Iterator[ZODB.DB]:
    opened = ZODB.DB(storage)
    yield opened
    opened.close()


def report(data_fs: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(data_fs.with_name("Data.fs.pack-report").read_text())
    return found


def beside(data_fs: Path) -> set[str]:
    """What lies beside the data file, but for what FileStorage itself puts there."""
    usual = ("", ".index", ".lock", ".tmp", ".old", ".pack-report")
    return {path.name for path in data_fs.parent.iterdir()} - {"Data.fs" + one for one in usual}


def fill(db: ZODB.DB, *names: str) -> None:
    with db.transaction() as connection:
        for name in names:
            connection.root()[name] = PersistentMapping(name=name)


def forget(db: ZODB.DB, name: str) -> bytes:
    """Unlink an object from the root; return its oid."""
    with db.transaction() as connection:
        oid: bytes = connection.root()[name]._p_oid
        del connection.root()[name]
    return oid


def reference(oid: bytes) -> bytes:
    """The pickles of a mapping that refers to the object."""
    return (
        b"\x80\x03cpersistent.mapping\nPersistentMapping\nq\x00."
        b"\x80\x03}q\x01X\x04\x00\x00\x00dataq\x02}q\x03X\x01\x00\x00\x00xC\x08"
        + oid
        + b"h\x00\x86Qss."
    )


def store(storage: FileStorage, oid: bytes, pickles: bytes) -> None:
    meta = TransactionMetaData()
    storage.tpc_begin(meta)
    try:
        serial = load_current(storage, oid)[1]
    except POSKeyError:
        serial = b"\0" * 8
    storage.store(oid, serial, pickles, "", meta)
    storage.tpc_vote(meta)
    storage.tpc_finish(meta)


def test_garbage_goes_and_the_rest_stays(db: ZODB.DB, storage: FileStorage, data_fs: Path):
    fill(db, "a", "b")
    gone = forget(db, "a")

    db.pack()

    with pytest.raises(POSKeyError):
        load_current(storage, gone)
    with db.transaction() as connection:
        assert connection.root()["b"]["name"] == "b"
    assert report(data_fs)["result"] == "packed"
    assert report(data_fs)["objects_dropped"] == 1
    assert beside(data_fs) == set()


def test_the_saved_index_is_that_of_the_new_file(db: ZODB.DB, storage: FileStorage, data_fs: Path):
    fill(db, "a", "b")
    forget(db, "a")
    db.pack()
    db.close()

    again = FileStorage(str(data_fs), read_only=True)

    assert again._used_index == 1
    again.close()


def test_the_old_file_is_kept_as_configured(tmp_path: Path):
    for keep in (True, False):
        path = tmp_path / f"{keep}.fs"
        db = ZODB.DB(FileStorage(str(path), packer=pack, pack_keep_old=keep))
        fill(db, "a")
        forget(db, "a")
        before = path.read_bytes()
        db.pack()
        db.close()

        old = path.with_name(path.name + ".old")
        assert (old.read_bytes() if old.exists() else None) == (before if keep else None)


def test_owner_and_mode_of_the_file_stay(db: ZODB.DB, data_fs: Path):
    fill(db, "a")
    forget(db, "a")
    data_fs.chmod(0o640)
    os.chown(data_fs, 1234, 4321)

    db.pack()

    found = data_fs.stat()
    assert (found.st_mode & 0o777, found.st_uid, found.st_gid) == (0o640, 1234, 4321)


def test_a_second_pack_finds_nothing_to_free(db: ZODB.DB, data_fs: Path):
    fill(db, "a")
    forget(db, "a")
    when = time.time()
    db.pack(when)
    packed = data_fs.read_bytes()

    db.pack(when)

    assert data_fs.read_bytes() == packed
    assert report(data_fs)["result"] == "nothing to free"


def test_a_reference_to_nothing_is_reported_with_its_holder(
    db: ZODB.DB, storage: FileStorage, data_fs: Path, caplog: pytest.LogCaptureFixture
):
    fill(db, "a")
    with db.transaction() as connection:
        holder = connection.root()["a"]._p_oid
    store(storage, holder, reference(p64(0x4711)))

    with caplog.at_level(logging.WARNING):
        db.pack()

    said = report(data_fs)
    assert said["result"] == "packed"
    assert said["dangling"] == [{"oid": "0x4711", "holder": f"{u64(holder):#x}"}]
    assert f"oid {u64(holder):#x} refers to oid 0x4711, which does not exist" in caplog.text


def test_without_a_root_nothing_is_taken_for_garbage(storage: FileStorage, data_fs: Path):
    store(storage, p64(7), reference(p64(8)))
    before = data_fs.read_bytes()

    with pytest.raises(FileStorageError, match="no root object"):
        storage.pack(time.time(), referencesf)

    assert data_fs.read_bytes() == before
    assert beside(data_fs) == set()


def test_garbage_that_a_commit_refers_to_while_it_is_packed_is_kept(
    db: ZODB.DB, storage: FileStorage, data_fs: Path
):
    fill(db, "a", "b", *(f"filler {number}" for number in range(100)))
    with db.transaction() as connection:
        holder = connection.root()["b"]._p_oid
    gone = forget(db, "a")
    meta = TransactionMetaData()
    storage.tpc_begin(meta)  # it holds the commit lock: the pack cannot come to its end
    packing = threading.Thread(target=storage.pack, args=(time.time(), referencesf))
    packing.start()
    wait_for(data_fs.with_name("Data.fs.pack.index"))
    storage.store(holder, load_current(storage, holder)[1], reference(gone), "", meta)
    storage.tpc_vote(meta)
    storage.tpc_finish(meta)
    packing.join(60)

    assert b"name" in load_current(storage, gone)[0]
    assert report(data_fs)["result"] == "packed"
    assert report(data_fs)["objects_dropped"] == 0


def test_what_is_committed_while_it_is_packed_is_in_the_new_file(
    db: ZODB.DB, storage: FileStorage, data_fs: Path
):
    fill(db, "a", "b")
    forget(db, "a")
    with db.transaction() as connection:
        changed = connection.root()["b"]._p_oid
    meta = TransactionMetaData()
    storage.tpc_begin(meta)
    packing = threading.Thread(target=storage.pack, args=(time.time(), referencesf))
    packing.start()
    wait_for(data_fs.with_name("Data.fs.pack.index"))
    new = storage.new_oid()
    storage.store(new, b"\0" * 8, reference(p64(0)), "", meta)
    storage.store(changed, load_current(storage, changed)[1], reference(new), "", meta)
    storage.tpc_vote(meta)
    tid = storage.tpc_finish(meta)
    packing.join(60)

    assert load_current(storage, changed) == (reference(new), tid)
    assert load_current(storage, new) == (reference(p64(0)), tid)
    # and a reader who knows nothing of the process sees the same
    again = FileStorage(str(data_fs), read_only=True)
    assert load_current(again, changed) == (reference(new), tid)
    again.close()


def test_the_caller_of_a_zeo_server_can_ask_for_history_only(db: ZODB.DB, data_fs: Path):
    fill(db, "a")
    gone = forget(db, "a")
    options = data_fs.with_name("Data.fs.pack-options")
    options.write_text(json.dumps({"gc": False, "expires": time.time() + 60}))

    db.pack()

    assert report(data_fs)["gc"] is False
    assert load_current(db.storage, gone)


def test_options_that_somebody_forgot_do_not_count(db: ZODB.DB, data_fs: Path):
    fill(db, "a")
    gone = forget(db, "a")
    options = data_fs.with_name("Data.fs.pack-options")
    options.write_text(json.dumps({"gc": False, "expires": time.time() - 1}))

    db.pack()

    with pytest.raises(POSKeyError):
        load_current(db.storage, gone)


def test_what_another_database_refers_to_is_kept(tmp_path: Path):
    databases: dict[str, ZODB.DB] = {}
    for name in ("main", "site"):
        path = str(tmp_path / f"{name}.fs")
        ZODB.DB(FileStorage(path, packer=pack), database_name=name, databases=databases)
    with databases["main"].transaction() as connection:
        site = connection.get_connection("site")
        site.root()["page"] = PersistentMapping(text="kept")
        connection.transaction_manager.commit()
        connection.root()["elsewhere"] = site.root()["page"]
        oid = site.root()["page"]._p_oid
    forget(databases["site"], "page")
    (tmp_path / "site.fs.referrers").write_text(f"referrer site {tmp_path / 'main.fs'}\n")

    databases["site"].pack()

    assert b"kept" in load_current(databases["site"].storage, oid)[0]
    # without that file it is garbage, as far as one can tell
    (tmp_path / "site.fs.referrers").unlink()
    fill(databases["site"], "more")
    databases["site"].pack()
    with pytest.raises(POSKeyError):
        load_current(databases["site"].storage, oid)
    for database in databases.values():
        database.close()


def test_a_database_that_may_refer_to_it_and_cannot_be_read_forbids_gc(
    db: ZODB.DB, storage: FileStorage, data_fs: Path
):
    fill(db, "a")
    gone = forget(db, "a")
    data_fs.with_name("Data.fs.referrers").write_text("unreadable main two:root on another host\n")

    with pytest.raises(FileStorageError, match="no garbage collection: two:root: on another host"):
        storage.pack(time.time(), referencesf)
    assert load_current(storage, gone)

    storage.pack(time.time(), referencesf, gc=False)
    assert report(data_fs)["result"] == "packed"


def test_a_preview_says_what_the_pack_then_does(db: ZODB.DB, storage: FileStorage, data_fs: Path):
    fill(db, "a", "b", "c")
    forget(db, "a")
    before = data_fs.read_bytes()

    said = preview(data_fs, NOW)

    assert data_fs.read_bytes() == before
    db.pack()
    did = report(data_fs)
    same = ("result", "size_before", "size_after", "objects_dropped", "revisions_dropped")
    assert {key: said[key] for key in same} == {key: did[key] for key in same}


def turned(pickles: bytes) -> bytes:
    return bytes(byte ^ 0xAA for byte in pickles)


def test_a_storage_that_encrypts_brings_its_own_way_to_read_records(
    storage: FileStorage, data_fs: Path
):
    kept, gone = p64(1), p64(2)
    store(storage, p64(0), turned(reference(kept)))
    store(storage, kept, turned(reference(p64(0))))
    store(storage, gone, turned(reference(kept)))

    storage.pack(time.time(), lambda record: referencesf(turned(record)))

    assert report(data_fs)["unknown_records"] == 2
    assert load_current(storage, kept)
    with pytest.raises(POSKeyError):
        load_current(storage, gone)


def test_a_record_that_nobody_can_read_is_named_and_nothing_is_packed(
    storage: FileStorage, data_fs: Path
):
    store(storage, p64(0), turned(reference(p64(1))))
    before = data_fs.read_bytes()

    with pytest.raises(FileStorageError, match=r"byte \d+: record of oid 0x0+: its references"):
        storage.pack(time.time(), referencesf)

    assert data_fs.read_bytes() == before


def test_the_child_dies_with_the_process_that_packs(data_fs: Path):
    script = (
        "import sys, time\n"
        "from ZODB.FileStorage import FileStorage\n"
        "from zmount.filestorage.pack_process import PackProcess\n"
        "child = PackProcess(None, None)\n"
        "print(child._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen((sys.executable, "-c", script), stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()

    until = time.monotonic() + 10
    while Path(f"/proc/{child}").exists() and "Z" not in state(child):
        assert time.monotonic() < until, "the child outlives its parent"
        time.sleep(0.01)


def state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


def wait_for(path: Path) -> None:
    until = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < until, f"{path} does not appear"
        time.sleep(0.005)
