"""What ZODB's DemoStorage gets wrong below a ZEO server, and traps of FileStorage, one by one.

The letters and numbers in the sections are those of the list of what was seen.
"""

from __future__ import annotations

import threading
import time
from base64 import encodebytes
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deployments import wait_until
from overlays import make_base, overlay
from ZODB.blob import Blob
from ZODB.Connection import TransactionMetaData
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage
from ZODB.POSException import ConflictError, POSKeyError
from ZODB.serialize import referencesf
from ZODB.TimeStamp import TimeStamp
from ZODB.utils import load_current, maxtid, p64, u64, z64

from zmount.server.frozen import FrozenFile, NotFrozen
from zmount.server.overlay import Overlay

OID = p64(1)  # an object of the base


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Overlay]:
    """An overlay over a full base."""
    made = overlay(tmp_path)
    yield made
    made.close()


def store(storage: Any, data: bytes, oid: bytes = OID, serial: bytes | None = None) -> bytes:
    """Store DATA, which is no pickle; return the transaction's tid."""
    if serial is None:
        serial = storage.getTid(oid)
    return commit(storage, lambda t: storage.store(oid, serial, data, "", t))


def commit(storage: Any, write: Any) -> bytes:
    """Let WRITE do something in a transaction; return its tid."""
    transaction = TransactionMetaData()
    storage.tpc_begin(transaction)
    try:
        write(transaction)
        storage.tpc_vote(transaction)
    except BaseException:
        storage.tpc_abort(transaction)
        raise
    tid: bytes = storage.tpc_finish(transaction)
    return tid


def pack(storage: Any, tid: bytes | None = None) -> None:
    moment = time.time() if tid is None else TimeStamp(tid).timeTime()
    storage.pack(moment, referencesf)


def reopened(storage: Overlay, tmp_path: Path) -> Overlay:
    """The same changes over the same base, opened again, with what a generation notes."""
    base = storage.base
    frozen = FrozenFile(Path(base._file_name), *base._frozen, Path(base.blob_dir))
    floor, packed = storage.floor, storage.packed
    storage.close()
    return Overlay(
        tmp_path / "changes.fs",
        frozen,
        blob_dir=tmp_path / "changes-blobs",
        floor=floor,
        packed=packed,
    )


# (a) deadlock


def test_packs_and_commits_at_the_same_time_never_wait_for_each_other_for_ever(storage: Overlay):
    is_over = threading.Event()
    committed = 0

    def write() -> None:
        nonlocal committed
        serial = storage.getTid(OID)
        while not is_over.is_set():
            serial = store(storage, b"x" * 100, serial=serial)
            committed += 1

    writer = threading.Thread(target=write, daemon=True)
    packer = threading.Thread(target=lambda: [pack(storage) for _ in range(4)], daemon=True)
    writer.start()
    wait_until(lambda: committed > 10, "the writer commits")  # an empty file is not packed
    packer.start()
    packer.join(60)
    assert not packer.is_alive(), "the pack hangs"
    is_over.set()
    writer.join(20)
    assert not writer.is_alive(), "the writer hangs"
    assert committed > 40


# (b) pack fails; (c) an older connection reads the base's value; (f), T6, T7


def test_an_older_reader_never_gets_the_bases_value_for_one_that_a_pack_dropped(storage: Overlay):
    base, _ = load_current(storage, OID)
    first = store(storage, b"first")
    second = store(storage, b"second")
    assert storage.loadBefore(OID, second)[0] == b"first"
    pack(storage)
    assert storage.loadBefore(OID, second) is None
    assert load_current(storage, OID) == (b"second", second)
    other = p64(2)
    after, _ = load_current(storage, other)
    assert storage.loadBefore(other, first)[0] == after  # nothing of it was dropped
    third = store(storage, b"third", other)
    assert storage.loadBefore(other, third) == (after, storage.base.getTid(other), third)
    assert base != b"first"


def test_what_a_pack_dropped_is_known_after_a_restart(storage: Overlay, tmp_path: Path):
    store(storage, b"first")
    second = store(storage, b"second")
    pack(storage)
    storage = reopened(storage, tmp_path)
    assert storage.loadBefore(OID, second) is None
    storage.close()


def test_the_last_transaction_does_not_go_back_after_a_pack_and_a_restart(
    storage: Overlay, tmp_path: Path
):
    marker = commit(storage, lambda transaction: None)
    storage.raise_floor(marker)
    store(storage, b"x")
    last = store(storage, b"y", serial=storage.getTid(OID))
    pack(storage)
    storage = reopened(storage, tmp_path)
    assert storage.lastTransaction() == last
    storage.close()


def test_the_floor_stays_where_a_pack_drops_its_transaction(storage: Overlay, tmp_path: Path):
    commit(storage, lambda transaction: store_in(storage, transaction, b"a"))
    floor = commit(storage, lambda transaction: None)
    storage.raise_floor(floor)
    pack(storage)
    storage = reopened(storage, tmp_path)
    assert storage.lastTransaction() == floor
    assert store(storage, b"b") > floor
    storage.close()


def store_in(storage: Overlay, transaction: Any, data: bytes) -> None:
    storage.store(OID, storage.getTid(OID), data, "", transaction)


def test_an_object_of_the_base_that_was_deleted_stays_deleted_after_a_pack(
    storage: Overlay, tmp_path: Path
):
    serial = storage.getTid(OID)
    commit(storage, lambda transaction: storage.deleteObject(OID, serial, transaction))
    for _ in range(2):
        with pytest.raises(POSKeyError):
            load_current(storage, OID)
        assert OID not in set(oids(storage))
        store(storage, b"x", p64(2))
        store(storage, b"y", p64(2))
        pack(storage)
    storage = reopened(storage, tmp_path)
    with pytest.raises(POSKeyError):
        load_current(storage, OID)
    assert storage.loadBefore(OID, storage.base.lastTransaction()) is None or True
    storage.close()


def test_packing_never_collects_garbage(storage: Overlay):
    """What only the base refers to is not garbage."""
    new = storage.new_oid()
    tid = store(storage, b"x", new, z64)
    pack(storage)
    assert load_current(storage, new) == (b"x", tid)
    with pytest.raises(TypeError, match="no garbage"):
        storage.pack(time.time(), referencesf, gc=True)


def test_a_pack_to_before_the_swap_changes_nothing(storage: Overlay):
    first = store(storage, b"first")
    second = store(storage, b"second")
    pack(storage, storage.base.lastTransaction())
    assert storage.loadBefore(OID, second) == (b"first", first, second)


# (d) undo


def test_undoing_the_first_change_of_an_object_of_the_base_brings_back_the_bases(storage: Overlay):
    before, _ = load_current(storage, OID)
    undo(storage, store(storage, b"changed"))
    data, serial = load_current(storage, OID)
    assert data == before
    assert store(storage, b"again", serial=serial) > serial


def undo(storage: Overlay, tid: bytes) -> bytes:
    return commit(storage, lambda transaction: storage.undo(encodebytes(tid).rstrip(), transaction))


def test_an_undo_of_an_undo_of_a_first_change_brings_back_the_change(storage: Overlay):
    undo(storage, undo(storage, store(storage, b"changed")))
    assert load_current(storage, OID)[0] == b"changed"


def test_undoing_a_deletion_brings_back_the_bases(storage: Overlay):
    before, serial = load_current(storage, OID)
    undo(storage, commit(storage, lambda t: storage.deleteObject(OID, serial, t)))
    assert load_current(storage, OID)[0] == before


def test_undoing_the_first_change_of_a_blob_of_the_base_brings_back_its_file(tmp_path: Path):
    storage = overlay(tmp_path)
    database = DB(storage)
    with database.transaction() as connection, connection.root()["blob"].open("w") as file:
        file.write(b"changed")
    undo(storage, storage.lastTransaction())
    database.close()
    database = DB(overlay(tmp_path))
    with database.transaction() as connection, connection.root()["blob"].open() as file:
        assert file.read() == b"29"
    database.close()


# (e), T1, T2: production goes on


@pytest.fixture
def grown(tmp_path: Path) -> Iterator[tuple[Overlay, FileStorage]]:
    """An overlay, and production, which was written to after it was frozen."""
    make_base(tmp_path / "base.fs")
    storage = overlay(tmp_path)
    production = FileStorage(str(tmp_path / "base.fs"), blob_dir=str(tmp_path / "base.fs.blobs"))
    for number in range(5):
        store(production, b"later %d" % number)
        store(production, b"later", production.new_oid(), z64)
    yield storage, production
    production.close()
    storage.close()


def test_nothing_shows_productions_later_transactions(
    grown: tuple[Overlay, FileStorage], tmp_path: Path
):
    storage, production = grown
    last = storage.lastTransaction()
    base = {oid: load_current(storage.base, oid) for oid in oids(storage)}
    changed = store(storage, b"changed")
    for each in (storage, storage := reopened(storage, tmp_path)):
        if each is not storage:
            continue
        tids = [transaction.tid for transaction in storage.iterator()]
        assert tids[-2:] == [last, changed]
        assert [t.tid for t in storage.iterator(last)] == [last, changed]
        assert [t.tid for t in storage.iterator(None, last)][-1] == last
        assert list(storage.iterator(p64(u64(changed) + 1))) == []
        assert storage.lastTransaction() == changed
        assert [tid for tid, _ in storage.lastInvalidations(100)] == [changed]
        assert load_current(storage, OID) == (b"changed", changed)
        assert {oid: load_current(storage, oid) for oid in oids(storage) if oid != OID} == {
            oid: found for oid, found in base.items() if oid != OID
        }
        assert load_current(production, OID)[0] == b"later 4"
    storage.close()


def test_production_is_packed_and_the_base_stays(grown: tuple[Overlay, FileStorage]):
    storage, production = grown
    revisions = {
        (t.tid, r.oid): storage.loadSerial(r.oid, t.tid) for t in storage.iterator() for r in t
    }
    production.pack(time.time(), lambda data: [], gc=False)
    assert revisions == {
        (t.tid, r.oid): storage.loadSerial(r.oid, t.tid) for t in storage.iterator() for r in t
    }


def test_a_base_whose_index_is_lost_ends_where_it_ended(
    grown: tuple[Overlay, FileStorage], tmp_path: Path
):
    storage, _ = grown
    last, known = storage.base.lastTransaction(), set(oids(storage))
    Path(f"{storage.base._file_name}.index").unlink(missing_ok=True)
    again = FrozenFile(Path(storage.base._file_name), *storage.base._frozen, None)
    assert again.lastTransaction() == last
    assert set(again._index.keys()) == known
    again.close()


def test_the_index_of_another_file_is_not_taken(grown: tuple[Overlay, FileStorage], tmp_path: Path):
    storage, _ = grown
    known = dict(storage.base._index.items())
    path = Path(storage.base._file_name)
    tid, end = storage.base._frozen
    make_base(tmp_path / "other" / "base.fs")
    other = FileStorage(str(tmp_path / "other" / "base.fs"))
    for position in (other.getSize(), end, end - 9, 101, end + 1000, 3):
        other._index.save(position, f"{path}.index")
        again = FrozenFile(path, tid, end, None)
        assert dict(again._index.items()) == known
        again.close()
    Path(f"{path}.index").write_bytes(b"no index")
    again = FrozenFile(path, tid, end, None)
    assert dict(again._index.items()) == known
    again.close()
    other.close()


def test_a_base_that_is_another_file_is_refused(grown: tuple[Overlay, FileStorage], tmp_path: Path):
    storage, _ = grown
    tid, end = storage.base._frozen
    for wrong in ((tid, end - 8), (tid, end + 10_000), (p64(u64(tid) + 1), end)):
        with pytest.raises(NotFrozen):
            FrozenFile(Path(storage.base._file_name), *wrong, None)


@pytest.mark.parametrize("has_index", [True, False])
def test_a_base_with_junk_behind_its_last_transaction_is_refused(
    grown: tuple[Overlay, FileStorage], tmp_path: Path, has_index: bool
):
    storage, _ = grown
    tid, end = storage.base._frozen
    path = tmp_path / "junk.fs"
    path.write_bytes(Path(storage.base._file_name).read_bytes()[:end] + b"\xff" * 100)
    if has_index:
        storage.base._index.save(end, f"{path}.index")
    before = len(list(Path("/proc/self/fd").iterdir()))

    with pytest.raises(NotFrozen, match="no transaction begins where one should"):
        FrozenFile(path, tid, end, None)

    assert len(list(Path("/proc/self/fd").iterdir())) == before


# (g) conflicts


def test_a_blob_with_a_stale_serial_of_the_base_is_a_conflict(storage: Overlay, tmp_path: Path):
    stale = p64(u64(storage.getTid(OID)) - 1)
    blob = tmp_path / "new"
    blob.write_bytes(b"new")
    with pytest.raises(ConflictError):
        commit(storage, lambda t: storage.storeBlob(OID, stale, b"x", str(blob), "", t))
    with pytest.raises(ConflictError):
        store(storage, b"x", serial=stale)
    with pytest.raises(ConflictError):
        commit(storage, lambda t: storage.deleteObject(OID, stale, t))
    with pytest.raises(ConflictError):
        commit(storage, lambda t: storage.checkCurrentSerialInTransaction(OID, stale, t))


# (h), (i): what DemoStorage has not


def oids(storage: Overlay) -> Iterator[bytes]:
    following: bytes | None = None
    while True:
        try:
            oid, tid, data, following = storage.record_iternext(following)
        except ValueError:
            return
        assert (data, tid) == load_current(storage, oid)
        yield oid
        if following is None:
            return


def test_all_objects_are_counted_and_listed_also_over_gaps_between_ranges(storage: Overlay):
    known = list(oids(storage))
    assert known == sorted(storage.base._index.keys())
    assert len(storage) == len(known)
    ranges = [p64((2 << 40) + 5), p64((2 << 40) + (1 << 20)), p64((3 << 40) + (7 << 16))]
    for oid in ranges:
        store(storage, b"x", oid, z64)
    assert list(oids(storage)) == [*known, *ranges]
    assert len(storage) == len(known) + 3
    for oid in (known[3], ranges[0], ranges[-1]):
        serial = storage.getTid(oid)
        commit(storage, lambda t, oid=oid, serial=serial: storage.deleteObject(oid, serial, t))
    left = [oid for oid in (*known, *ranges) if oid not in (known[3], ranges[0], ranges[-1])]
    assert list(oids(storage)) == left


def test_restored_records_are_there(storage: Overlay):
    tid = TimeStamp(storage.lastTransaction())
    later = tid.laterThan(tid).raw()
    transaction = TransactionMetaData()
    storage.tpc_begin(transaction, later)
    storage.restore(OID, later, b"restored", "", None, transaction)
    storage.tpc_vote(transaction)
    storage.tpc_finish(transaction)
    assert load_current(storage, OID) == (b"restored", later)


def test_what_is_restored_from_the_past_does_not_turn_the_clock_back(storage: Overlay):
    old = p64(u64(storage.base.lastTransaction()) - (1 << 40))
    floor = storage.lastTransaction()
    transaction = TransactionMetaData()
    storage.tpc_begin(transaction, old)
    storage.tpc_vote(transaction)
    storage.tpc_finish(transaction)
    assert storage.lastTransaction() >= floor
    assert store(storage, b"x") > floor


# (j) speed


def test_an_object_that_was_changed_a_thousand_times_is_read_fast(storage: Overlay):
    serial = storage.getTid(OID)
    transaction = TransactionMetaData()
    for number in range(1000):
        transaction = TransactionMetaData()
        storage.tpc_begin(transaction)
        storage.store(OID, serial, b"%d" % number, "", transaction)
        storage.tpc_vote(transaction)
        serial = storage.tpc_finish(transaction)
    start = time.perf_counter()
    for _ in range(100):
        assert storage.loadBefore(OID, maxtid)[0] == b"999"
    assert (time.perf_counter() - start) / 100 < 0.001
    base = storage.base.getTid(OID)
    start = time.perf_counter()
    assert storage.loadBefore(OID, p64(u64(base) + 1))[1] == base
    assert time.perf_counter() - start < 0.1


# T3 the index, T5 production's own file


def test_an_index_is_taken_though_a_blob_stands_twice_in_the_last_transaction(tmp_path: Path):
    path = tmp_path / "base.fs"
    make_base(path)
    production = FileStorage(str(path), blob_dir=f"{path}.blobs")
    transaction = TransactionMetaData()
    production.tpc_begin(transaction)
    for data in (b"x", b"y"):  # so ZEO does it
        production.store(OID, production.getTid(OID), data, "", transaction)
    production.tpc_vote(transaction)
    production.tpc_finish(transaction)
    tid, end = production.lastTransaction(), production.getSize()
    production.close()

    stock = FileStorage(str(path), read_only=True)
    assert not stock._used_index  # or this proves nothing
    stock.close()
    ours = FrozenFile(path, tid, end, None)
    assert ours._used_index
    assert load_current(ours, OID) == (b"y", tid)
    ours.close()


def test_conflicts_of_first_changes_are_resolved_with_the_bases_state(tmp_path: Path):
    from BTrees.Length import Length

    path = tmp_path / "base.fs"
    database = DB(FileStorage(str(path), blob_dir=f"{path}.blobs"))
    with database.transaction() as connection:
        connection.root()["count"] = Length(10)
    database.close()
    import transaction as transactions

    database = DB(overlay(tmp_path))
    managers = [transactions.TransactionManager() for _ in range(2)]
    connections = [database.open(manager) for manager in managers]
    for number, connection in enumerate(connections, 1):
        connection.root()["count"].change(number)
    for manager in managers:
        manager.commit()
    with database.transaction() as connection:
        assert connection.root()["count"].value == 13
    for connection in connections:
        connection.close()
    database.close()


def test_the_history_goes_on_into_the_base(storage: Overlay):
    before = [each["tid"] for each in storage.base.history(OID, 100)]
    tids = [store(storage, b"%d" % number) for number in range(3)]
    assert [each["tid"] for each in storage.history(OID, 100)] == [*reversed(tids), *before]
    assert len(storage.history(OID, 2)) == 2
    assert storage.loadSerial(OID, before[-1]) == storage.base.loadSerial(OID, before[-1])


def test_blobs_of_both_are_read_and_those_of_the_base_are_never_changed(tmp_path: Path):
    database = DB(overlay(tmp_path))
    with database.transaction() as connection:
        root = connection.root()
        with root["blob"].open() as file:
            assert file.read() == b"29"
        with root["blob"].open("w") as file:
            file.write(b"changed")
        root["new"] = Blob(b"new")
    with database.transaction() as connection:
        for name, content in (("blob", b"changed"), ("new", b"new")):
            with connection.root()[name].open() as file:
                assert file.read() == content
    database.close()
    production = DB(
        FileStorage(str(tmp_path / "base.fs"), blob_dir=str(tmp_path / "base.fs.blobs"))
    )
    with production.transaction() as connection, connection.root()["blob"].open() as file:
        assert file.read() == b"29"
    production.close()
