"""Files that are no FileStorages, or that lie: a pack says what is wrong, and where.

It does not crash, does not loop, needs no memory for what is not there, and
changes nothing. The fuzzer damages a sound file in many ways at once and gives
it to both cores, which must agree; ``ZMOUNT_TEST_DEPTH=20`` goes deeper.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from histories import (
    OIDS,
    Delete,
    Ref,
    Store,
    StoreBlob,
    Undo,
    Writer,
    blob_record,
    examples,
    fast_directory,
    record,
    stop_after,
    tid_at,
    time_after,
)
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from pack_rule import FIRST, read
from packers import CORES, IS_STOCK, packer_here
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage.FileStorage import FileStorageError
from ZODB.scripts import fstest
from ZODB.utils import z64

from zmount.filestorage.cores import VARIABLE

WORKER = Path(__file__).with_name("pack_worker.py")
HISTORY = [
    (Store(number=0, refs=(Ref(oid=OIDS[1]), Ref(kind="weak", oid=OIDS[2]))), Store(number=1)),
    (StoreBlob(number=3, twice=True), Store(number=2, refs=(Ref(oid=OIDS[3]),))),
    (Store(number=0, refs=(Ref(kind="bare", oid=OIDS[2]),), size=30),),
    (Undo(number=0),),
    (Store(number=4, twice=True, other_data=True),),
    (Delete(number=4),),
    (StoreBlob(number=3), Store(number=1, refs=(Ref(oid=OIDS[0]),))),
    (),
    (Undo(number=1),),
    (Store(number=0, refs=(Ref(oid=OIDS[1]), Ref(oid=OIDS[2]))),),
]


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=fast_directory(tmp_path)) as name:
        yield Path(name)


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    """A storage that is open, with a history; its file may be damaged now."""
    writer = Writer(tmp_path / "Data.fs", packer=packer_here)
    writer.write(HISTORY)
    yield writer
    writer.storage.close()


def put(path: Path, position: int, text: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(position)
        file.write(text)


# what is done to the file, and where the error must say that it is: None for nowhere
def _positions(path: Path) -> dict[str, int]:
    file = read(path)
    undo = next(record for record in file if record.back)
    return {
        "transaction": file.transactions[4].position,
        "end": file.transactions[4].end,
        "record": file.transactions[4].records[0].position,
        "undo": undo.position,
        "last": file.transactions[-1].position,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """A number that is wrong in the file: AT (a name of _positions) + PLUS; BLAMED is reported."""

    at: str
    plus: int
    number: int
    blamed: str
    size: int = 8


DAMAGES = {
    "a transaction runs past the end": Damage(
        at="transaction", plus=8, number=1 << 40, blamed="transaction"
    ),
    "a transaction's length is that of nothing": Damage(
        at="transaction", plus=8, number=0, blamed="transaction"
    ),
    "a transaction's length is negative": Damage(
        at="transaction", plus=8, number=2**64 - 1, blamed="transaction"
    ),
    "the second length differs": Damage(at="end", plus=0, number=7, blamed="transaction"),
    "an unknown status": Damage(
        at="transaction", plus=16, number=ord("x"), blamed="transaction", size=1
    ),
    "a description longer than its transaction": Damage(
        at="transaction", plus=19, number=65535, blamed="transaction", size=2
    ),
    "a tid of the past": Damage(at="transaction", plus=0, number=1, blamed="transaction"),
    "pickles longer than their transaction": Damage(
        at="record", plus=34, number=1 << 33, blamed="record"
    ),
    "pickles of negative length": Damage(at="record", plus=34, number=2**64 - 1, blamed="record"),
    "a record of another transaction": Damage(at="record", plus=24, number=4, blamed="record"),
    "a version": Damage(at="record", plus=32, number=1, blamed="record", size=2),
    "a previous record that comes later": Damage(
        at="record", plus=16, number=1 << 40, blamed="record"
    ),
    "a back pointer to the end of the world": Damage(
        at="undo", plus=42, number=2**64 - 1, blamed="undo"
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_an_error_names_the_file_and_the_place(writer: Writer, name: str) -> None:
    damage, places = DAMAGES[name], _positions(writer.path)
    put(
        writer.path,
        places[damage.at] + damage.plus,
        damage.number.to_bytes(damage.size, "big"),
    )

    must_refuse(writer, f"{writer.path}: damaged at byte {places[damage.blamed]}: ")


def test_a_back_pointer_to_its_own_record_is_no_endless_loop(writer: Writer) -> None:
    undo = _positions(writer.path)["undo"]
    put(writer.path, undo + 42, undo.to_bytes(8, "big"))

    must_refuse(writer, f"{writer.path}: damaged at byte {undo}: ")


def test_back_pointers_in_a_circle_are_no_endless_loop(writer: Writer) -> None:
    undos = [record.position for record in read(writer.path) if record.back]
    put(writer.path, undos[0] + 42, undos[1].to_bytes(8, "big"))
    put(writer.path, undos[1] + 42, undos[0].to_bytes(8, "big"))

    must_refuse(writer, f"{writer.path}: damaged at byte {undos[0]}: ")


def test_broken_pickles_are_named_with_their_object(writer: Writer) -> None:
    record = [each for each in read(writer.path) if each.data][-1]
    put(writer.path, record.position + 42, b"\xff" * 20)

    must_refuse(
        writer,
        f"{writer.path}: damaged at byte {record.position}: record of oid 0x{record.oid.hex()}: ",
    )


def test_garbage_whose_compression_is_broken_is_no_obstacle(writer: Writer) -> None:
    # is it a blob? Nobody can know, and nobody needs it
    transaction = TransactionMetaData()
    tid = tid_at(writer.number + 1)
    writer.storage.tpc_begin(transaction, tid)
    writer.storage.store(OIDS[7], z64, b".zThis was never compressed", "", transaction)
    writer.storage.tpc_vote(transaction)
    writer.storage.tpc_finish(transaction)

    writer.pack(after=writer.number + 1)

    assert OIDS[7] not in writer.storage._index


def test_a_file_that_lost_its_end_is_not_packed(writer: Writer) -> None:
    size = writer.path.stat().st_size
    os.truncate(writer.path, size - 20)

    must_refuse(writer, f"{writer.path}: damaged at byte {size - 20}: the file ends here")


def test_an_empty_file_is_not_packed(writer: Writer) -> None:
    os.truncate(writer.path, 0)

    must_refuse(writer, f"{writer.path}: the file is empty")


def test_a_text_is_not_packed(writer: Writer) -> None:
    writer.path.write_text("Arma virumque cano\n" * 1000)

    must_refuse(writer, f"{writer.path}: the file does not begin as a FileStorage does")


def test_a_directory_is_not_packed(writer: Writer) -> None:
    writer.path.rename(writer.path.with_name("aside"))
    writer.path.mkdir()

    with pytest.raises(FileStorageError, match="this is a directory, not a FileStorage"):
        writer.pack(after=writer.number)

    writer.path.rmdir()
    writer.path.with_name("aside").rename(writer.path)
    must_work_again(writer)


def test_a_file_that_is_gone_is_not_packed(writer: Writer) -> None:
    aside = writer.path.rename(writer.path.with_name("aside"))

    with pytest.raises((FileStorageError, FileNotFoundError), match=r"Data\.fs"):
        writer.pack(after=writer.number)

    aside.rename(writer.path)
    must_work_again(writer)


# root may read everything; a child of a process that gave this up may not
_WITHOUT_PERMISSION = """
import ctypes, os, sys
from ZODB.FileStorage import FileStorage
from ZODB.serialize import referencesf
from zmount.filestorage.packer import pack
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
storage = FileStorage(sys.argv[1], packer=pack)
os.chmod(sys.argv[1], 0)
try:
    storage.pack(float(sys.argv[2]), referencesf)
except Exception as why:
    print(type(why).__name__, why)
"""


def test_without_permission_it_says_so(writer: Writer) -> None:
    writer.close()

    said = subprocess.run(
        [
            sys.executable,
            "-c",
            _WITHOUT_PERMISSION,
            str(writer.path),
            str(time_after(writer.number)),
        ],
        capture_output=True,
        text=True,
    )

    wanted = f"nothing was packed: {writer.path}: cannot be read: Permission denied"
    assert said.stdout.strip() == f"FileStorageError {wanted}", said.stderr
    writer.path.chmod(0o644)
    writer.open()


def must_refuse(writer: Writer, message: str) -> None:
    """Check that a pack of the damaged file raises this MESSAGE and touches nothing."""
    before = writer.path.read_bytes()
    with pytest.raises(FileStorageError) as raised:
        writer.pack(after=writer.number)
    assert message in str(raised.value)
    assert writer.path.read_bytes() == before
    left = {path.name for path in writer.path.parent.glob("Data.fs.pack*")}
    assert left == {"Data.fs.pack-report"}
    assert not writer.storage._commit_lock.locked()
    assert not writer.storage._pack_is_in_progress


def must_work_again(writer: Writer) -> None:
    assert writer.commit(Store(number=1, size=9))
    writer.pack(after=writer.number)


class Worker:
    """A process that packs with one of the cores; see pack_worker.py."""

    def __init__(self, core: str) -> None:
        self.core = core
        self.process = subprocess.Popen(
            [sys.executable, str(WORKER)],
            env={**os.environ, VARIABLE: core, "MALLOC_ARENA_MAX": "2"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()

    def pack(self, path: Path, stop: bytes, gc: bool) -> dict[str, str]:
        """Return what became of it; that the process ends is a failure of the test."""
        assert self.process.stdin is not None and self.process.stdout is not None
        order = {"path": str(path), "stop": int.from_bytes(stop, "big"), "gc": gc}
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            _, said = self.process.communicate()
            status = self.process.returncode
            self.__init__(self.core)  # type: ignore[misc]  # hypothesis goes on with another
            raise AssertionError(f"the {self.core} core ended with status {status}: {said}")
        found: dict[str, str] = json.loads(line)
        return found


@pytest.mark.skipif(IS_STOCK, reason="stock has no engine")
@pytest.mark.parametrize("core", CORES)
def test_a_back_pointer_into_the_middle_of_something_is_damage(writer: Writer, core: str) -> None:
    # what lies there may look like a length: as one of pickles that go on for ever
    text = writer.path.read_bytes()
    path = writer.path.with_name("damaged.fs")
    starts = {record.position for record in read(writer.path)}
    undo = [record for record in read(writer.path) if record.back][-1]
    with Worker(core) as worker:
        for back in set(range(FIRST, undo.position, 11)) - starts:
            path.write_bytes(damaged(text, [("put", undo.position + 42, back.to_bytes(8, "big"))]))
            for after in (writer.number, writer.number - 2):  # before the pack time, after it
                for gc in (True, False):
                    said = worker.pack(path, stop_after(after), gc)
                    assert "damaged at byte" in said["error"], (back, after, gc)


def interesting_places(path: Path) -> list[int]:
    """Return where lengths, positions, oids, tids and pickles begin."""
    places = [0]
    for transaction in read(path).transactions:
        places += [transaction.position + plus for plus in (0, 8, 16, 17, 19, 21, 23)]
        places.append(transaction.end)
        for each in transaction.records:
            places += [each.position + plus for plus in (0, 8, 16, 24, 32, 34, 42, 44, 60)]
            places += [each.position + 42] * 20 * bool(each.back)  # worth more than others
    return places


# what a number in the file may become
NUMBERS = (
    0,
    1,
    2,
    4,
    7,
    8,
    23,
    42,
    50,
    2**16,
    2**31,
    2**32 - 1,
    2**56,
    2**63 - 1,
    2**63,
    2**64 - 1,
)


@st.composite
def damages(draw: st.DrawFn, places: list[int], size: int) -> list[tuple[str, int, bytes]]:
    """Draw what is done to the file: an action, where, and with which bytes."""
    where = st.one_of(st.sampled_from(places), st.integers(0, size - 1))
    number = st.one_of(st.sampled_from(NUMBERS), st.sampled_from(places), st.integers(0, 3 * size))
    action = st.one_of(
        st.tuples(st.just("put"), where, number.map(lambda n: n.to_bytes(8, "big"))),
        st.tuples(st.just("put"), where, number.map(lambda n: n.to_bytes(8, "big"))),
        st.tuples(
            st.just("flip"),
            where,
            st.sampled_from([1 << bit for bit in range(8)]).map(lambda bit: bytes([bit])),
        ),
        st.tuples(st.just("put"), where, st.binary(min_size=1, max_size=12)),
        st.tuples(st.just("insert"), where, st.binary(min_size=1, max_size=60)),
        st.tuples(st.just("remove"), where, st.integers(1, 80).map(bytes)),
        st.tuples(st.just("cut"), where, st.just(b"")),
    )
    return draw(st.lists(action, min_size=1, max_size=4))


def damaged(text: bytes, done: list[tuple[str, int, bytes]]) -> bytes:
    for action, at, what in done:
        at = min(at, len(text))
        if action == "put":
            text = text[:at] + what + text[at + len(what) :]
        elif action == "flip" and at < len(text):
            text = text[:at] + bytes([text[at] ^ what[0]]) + text[at + 1 :]
        elif action == "insert":
            text = text[:at] + what + text[at:]
        elif action == "remove":
            text = text[:at] + text[at + len(what) :]
        elif action == "cut":
            text = text[:at]
    return text


@pytest.mark.skipif(IS_STOCK, reason="stock has no engine")
def test_no_damage_crashes_a_core_and_both_say_the_same(writer: Writer, directory: Path) -> None:
    text, places = sound_text(writer), interesting_places(writer.path)
    path = directory / "Data.fs"
    seen: Counter[str] = Counter()

    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(core)) for core in CORES]

        @settings(
            max_examples=examples(300),
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @given(damages(places, len(text)), st.integers(-1, writer.number), st.booleans())
        def run(done: list[tuple[str, int, bytes]], after: int, gc: bool) -> None:
            path.write_bytes(damaged(text, done))
            said, *others = (packed_by(each, path, stop_after(after), gc) for each in workers)
            assert all(other == said for other in others)
            must_name_the_place(said[0], path)
            if said[1]:
                must_be_a_storage(path.with_name("Data.fs.pack"))
            seen[said[0]["answer"]] += 1

        run()

    assert seen["error"] and seen["packed"], seen  # neither all noticed nor all ignored


def sound_text(writer: Writer) -> bytes:
    """Return the file, with records on it that are compressed as zc.zlibstorage does it."""
    blob, plain = blob_record(), record([("class", OIDS[0]), ("weak", OIDS[1])], "x" * 50)
    for data in (blob, plain):
        transaction = TransactionMetaData()
        tid = tid_at(writer.number + 1)
        writer.storage.tpc_begin(transaction, tid)
        for oid in (OIDS[1], OIDS[6]):
            serial = writer.serials.get(oid, z64)
            writer.storage.store(oid, serial, b".z" + zlib.compress(data), "", transaction)
            writer.serials[oid] = tid
        writer.storage.tpc_vote(transaction)
        writer.storage.tpc_finish(transaction)
        writer.number += 1
    return writer.path.read_bytes()


def packed_by(worker: Worker, path: Path, stop: bytes, gc: bool) -> tuple[dict[str, str], bytes]:
    new = path.with_name("Data.fs.pack")
    new.unlink(missing_ok=True)
    said = worker.pack(path, stop, gc)
    return said, new.read_bytes() if said["answer"] == "packed" else b""


def must_name_the_place(said: dict[str, str], path: Path) -> None:
    if said["answer"] == "error":
        note(said["error"])
        assert str(path) in said["error"]
        assert (
            "damaged at byte" in said["error"]
            or "Unreadable" in said["error"]
            or ("there is no root object" in said["error"])
        )


def must_be_a_storage(path: Path) -> None:
    """Check that what was packed has a FileStorage's structure, to ZODB's own eyes, too."""
    fstest.check(str(path))
