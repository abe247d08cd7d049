"""Records are read without importing, or running, anything that they name."""

from __future__ import annotations

import io
import pickle
import resource
import sys
import zlib
from pathlib import Path

import pytest
import transaction
from BTrees.OOBTree import OOBTree
from hypothesis import given
from hypothesis import strategies as st
from persistent import Persistent
from persistent.mapping import PersistentMapping
from persistent.wref import WeakRef
from ZODB import DB
from ZODB.MappingStorage import MappingStorage
from ZODB.utils import p64, z64
from zodbpickle.pickle import Pickler

from zmount.effects.raw_records import RawDatabase, Reference, Stub
from zmount.errors import StorageUnreadable

GONE = "zmount_test_product_that_is_gone"


class OneRecord:
    """A storage that holds PICKLES as the record of every object."""

    def __init__(self, pickles: bytes) -> None:
        self.pickles = pickles

    def loadBefore(self, oid: bytes, tid: bytes) -> tuple[bytes, bytes, None]:
        return self.pickles, z64, None

    def close(self) -> None:
        pass


def record_of(pickles: bytes) -> RawDatabase:
    return RawDatabase(OneRecord(pickles), "test")


@pytest.fixture
def storage_of_a_gone_product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MappingStorage:
    """A storage with an object whose class cannot be imported any more."""
    source = "from persistent import Persistent\nclass Poll(Persistent):\n    pass\n"
    (tmp_path / f"{GONE}.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = __import__(GONE)
    storage = MappingStorage()
    database = DB(storage)
    with database.transaction() as connection:
        poll = connection.root()["poll"] = module.Poll()
        poll.question = "Which way?"
        poll.answers = PersistentMapping({"left": 1})
    (tmp_path / f"{GONE}.py").unlink()
    del sys.modules[GONE]
    return storage


def test_an_object_of_a_class_that_is_gone_is_read_and_nothing_imported(
    storage_of_a_gone_product: MappingStorage,
) -> None:
    database = RawDatabase(storage_of_a_gone_product, "test")

    poll = database.referred(database.root()["poll"])

    assert poll is not None
    assert poll.class_name == f"{GONE}.Poll"
    assert poll.attributes["question"] == "Which way?"
    answers = database.referred(poll.attributes["answers"])
    assert answers is not None
    assert answers.attributes["data"] == {"left": 1}
    assert GONE not in sys.modules


class _Bomb:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> object:
        return Path.touch, (self.target,)


def test_what_a_record_would_run_is_not_run(tmp_path: Path) -> None:
    proof = tmp_path / "it ran"
    record = pickle.dumps(("a.module", "Class"), 2) + pickle.dumps({"a": _Bomb(proof)}, 2)
    naive = io.BytesIO(record)
    pickle.load(naive)
    pickle.load(naive)
    assert proof.exists(), "the record is harmless: this test proves nothing"
    proof.unlink()

    read = record_of(record).record(z64)

    assert not proof.exists()
    assert read is not None
    assert isinstance(read.attributes["a"], Stub)


def test_references_within_to_other_databases_and_weak_ones_are_told_apart() -> None:
    databases: dict[str, DB] = {}
    storage = MappingStorage()
    here = DB(storage, databases=databases, database_name="here")
    DB(MappingStorage(), databases=databases, database_name="there")
    connection = here.open(transaction.TransactionManager())
    other = connection.get_connection("there")
    foreign = other.root()["foreign"] = PersistentMapping()
    other.add(foreign)
    near = connection.root()["near"] = PersistentMapping()
    connection.add(near)
    connection.root()["foreign"] = foreign
    connection.root()["weak"] = WeakRef(near)
    connection.root()["new"] = OOBTree()
    connection.transaction_manager.commit()

    root = RawDatabase(storage, "here").root()

    name = "persistent.mapping.PersistentMapping"
    assert root["near"] == Reference(oid=near._p_oid, class_name=name)
    assert root["foreign"] == Reference(oid=foreign._p_oid, class_name=name, database="there")
    assert root["weak"] == Reference(oid=near._p_oid, is_weak=True)
    assert RawDatabase(storage, "here").referred(root["foreign"]) is None
    assert RawDatabase(storage, "here").referred(root["weak"]) is None


def persistent_id(reference: object) -> bytes:
    """Return a record whose state is REFERENCE."""
    file = io.BytesIO()
    Pickler(file, 3).dump(("m", "C"))

    class P(Pickler):  # type: ignore[misc]
        def persistent_id(self, each: object) -> object:
            return reference if each is REFERRED else None

    P(file, 3).dump({"it": REFERRED})
    return file.getvalue()


REFERRED = Persistent()


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (p64(7), Reference(oid=p64(7))),
        ((p64(7), ("a.b", "C")), Reference(oid=p64(7), class_name="a.b.C")),
        ([p64(7)], Reference(oid=p64(7), is_weak=True)),
        (["w", (p64(7),)], Reference(oid=p64(7), is_weak=True)),
        (["w", (p64(7), "db")], Reference(oid=p64(7), is_weak=True, database="db")),
        (["n", ("db", p64(7))], Reference(oid=p64(7), database="db")),
        (
            ["m", ("db", p64(7), ("a", "B"))],
            Reference(oid=p64(7), database="db", class_name="a.B"),
        ),
    ],
)
def test_every_form_of_reference_is_read(written: object, read: Reference) -> None:
    record = record_of(persistent_id(written)).record(z64)

    assert record is not None
    assert record.attributes["it"] == read


def test_a_compressed_record_is_read() -> None:
    plain = pickle.dumps(("a", "B"), 3) + pickle.dumps({"title": "x" * 100}, 3)

    record = record_of(b".z" + zlib.compress(plain)).record(z64)

    assert record is not None
    assert (record.class_name, record.attributes) == ("a.B", {"title": "x" * 100})


def test_a_database_without_a_transaction_has_an_empty_root() -> None:
    assert RawDatabase(MappingStorage(), "new").root() == {}
    assert RawDatabase(None, "new").root() == {}


def test_a_damaged_record_is_named_with_its_storage() -> None:
    with pytest.raises(StorageUnreadable, match="storage test: object 0x5 cannot be read"):
        record_of(b"\x80\x03garbage").record(p64(5))


@pytest.mark.parametrize("number", (b"r\xff\xff\xff\x7f", b"p2147483647\n"))
def test_a_number_in_the_memo_cannot_ask_for_all_the_memory(number: bytes) -> None:
    record = pickle.dumps(("a", "B"), 0) + b"N" + number + b"."
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, hard))  # if it did ask, it gets a MemoryError
    try:
        with pytest.raises(StorageUnreadable, match="in the memo of"):
            record_of(record).record(z64)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@given(st.binary(max_size=200), st.integers(0, 150))
def test_no_bytes_at_all_make_the_reader_fail_otherwise(noise: bytes, at: int) -> None:
    whole = bytearray(pickle.dumps(("a", "B"), 3) + pickle.dumps({"x": [1, {2: "y"}, (z64,)]}, 3))
    whole[at : at + len(noise)] = noise
    try:
        record_of(bytes(whole)).record(z64)
    except StorageUnreadable:
        pass
