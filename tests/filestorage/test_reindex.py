"""Indexes that FileStorage takes: built, brought up to date, and never another file's."""

from __future__ import annotations

import os
import resource
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fs_bytes import MAGIC, Record, Transaction, commits, file_of
from histories import Store, StoreBlob, Undo, Writer, examples, fast_directory, histories
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zeo_servers import blob, zeo_server
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage
from ZODB.FileStorage.FileStorage import FileStorageError
from ZODB.FileStorage.format import CorruptedError
from ZODB.fsIndex import fsIndex
from ZODB.utils import p64

from zmount.errors import (
    CorruptFile,
    Locked,
    StorageUnreadable,
    StorageUnwritable,
    ZMountError,
)
from zmount.filestorage import reindex
from zmount.filestorage.index import read_index
from zmount.filestorage.reindex import build_index, ready_index


@pytest.fixture
def nothing_is_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take small files for large ones, and any core for a fast one: nothing is left."""
    monkeypatch.setattr(reindex, "SOON", 0)
    monkeypatch.setattr(reindex, "SLOW_CORES", ())


def index_of(path: Path) -> Path:
    return path.with_name(path.name + ".index")


def opened_with_index(path: Path) -> bool:
    """Return whether FileStorage opens PATH with its index, and all in it is right."""
    storage = FileStorage(str(path), read_only=True)
    try:
        used, objects, size = storage._used_index, dict(storage._index.items()), storage.getSize()
    finally:
        storage.close()
    kept = index_of(path).read_bytes()
    index_of(path).unlink()
    storage = FileStorage(str(path), read_only=True)
    try:
        assert dict(storage._index.items()) == objects
        assert storage.getSize() == size
    finally:
        storage.close()
    index_of(path).write_bytes(kept)
    return bool(used)


# Built from nothing


def test_it_is_what_filestorage_would_have_saved(plone_small: Any) -> None:
    FileStorage(str(plone_small.data_fs)).close()
    saved = plone_small.index.read_bytes()
    plone_small.index.unlink()

    made = build_index(plone_small.data_fs)

    assert plone_small.index.read_bytes() == saved
    assert (made.done, made.objects) == ("built", 8848)
    assert made.position == made.end == plone_small.data_fs.stat().st_size


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    path = tmp_path / "Data.fs"
    path.write_bytes(commits((1, 2), (3,)))
    told: list[tuple[int, int]] = []

    build_index(path, progress=lambda done, of: told.append((done, of)))

    assert told[-1] == (path.stat().st_size - len(MAGIC),) * 2


@given(history=histories(packed=False))
@settings(max_examples=examples(40), deadline=None)
def test_filestorage_opens_any_history_with_it(history: Any) -> None:
    with TemporaryDirectory(dir=fast_directory(Path()), prefix="zm-") as directory:
        writer = Writer(Path(directory, "Data.fs"))
        writer.write(history)
        writer.close()
        index_of(writer.path).unlink()
        made = build_index(writer.path)
        taken = opened_with_index(writer.path)
        assert taken or made.position == made.end


def test_a_torn_transaction_at_the_end_stays_out_of_it(tmp_path: Path) -> None:
    path = tmp_path / "Data.fs"
    whole = commits((1, 2), (3,))
    path.write_bytes(whole + Transaction(tid=9, status=b"c").at(len(whole)))

    assert build_index(path).end == len(whole)

    storage = FileStorage(str(path))
    assert storage._used_index == 1
    assert storage.getSize() == len(whole)
    storage.close()


def test_a_torn_end_that_looks_whole_stays_out_of_it(tmp_path: Path) -> None:
    path = tmp_path / "Data.fs"
    whole = commits((1, 2), (3,))
    inner = commits(*((number,) for number in range(20, 29)))[4:]
    torn = Transaction(tid=4, records=(Record(oid=9, data=inner + b"rest"),)).at(len(whole))
    path.write_bytes(whole + torn[: torn.index(inner) + len(inner)])
    with pytest.raises(CorruptFile) as caught:
        build_index(path)
    assert caught.value.offset == len(whole)


def test_what_is_no_storage_gets_neither_index_nor_lock(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("text")
    for function in (build_index, ready_index):
        for what in (path, tmp_path, tmp_path / "missing"):
            with pytest.raises(StorageUnreadable):
                function(what)
    assert [each.name for each in tmp_path.iterdir()] == ["text"]


def test_a_damaged_file_keeps_the_index_that_it_has(tmp_path: Path) -> None:
    path = tmp_path / "Data.fs"
    content = bytearray(commits((1,), (2,), (3,)))
    content[len(commits((1,))) + 16] = ord("x")
    path.write_bytes(bytes(content))
    index_of(path).write_bytes(b"something")
    with pytest.raises(CorruptFile, match="damaged at byte"):
        build_index(path)
    assert index_of(path).read_bytes() == b"something"


def test_a_storage_that_is_open_is_refused(tmp_path: Path) -> None:
    storage = FileStorage(str(tmp_path / "Data.fs"))
    for function in (build_index, ready_index):
        with pytest.raises(Locked, match="has it open"):
            function(tmp_path / "Data.fs")
    storage.close()


def test_an_empty_storage_needs_no_index(tmp_path: Path) -> None:
    path = tmp_path / "Data.fs"
    for content in (MAGIC, file_of(*(Transaction(tid=n, user=b"u" * 90) for n in range(1, 9)))):
        path.write_bytes(content)
        index_of(path).write_bytes(b"no index")
        assert build_index(path).done == "removed"
        FileStorage(str(path)).close()


def test_an_index_of_empty_transactions_is_removed(tmp_path: Path) -> None:
    """FileStorage saves it, and cannot open its own file afterwards."""
    path = tmp_path / "Data.fs"
    storage = FileStorage(str(path))
    for _ in range(3):
        transaction = TransactionMetaData(description="empty" * 20)
        storage.tpc_begin(transaction)
        storage.tpc_vote(transaction)
        storage.tpc_finish(transaction)
    storage.close()
    with pytest.raises(OSError, match="Invalid argument"):
        FileStorage(str(path), read_only=True)

    made = ready_index(path)

    assert (made.done, made.why) == ("removed", "FileStorage would not have opened the file")
    FileStorage(str(path), read_only=True).close()


# Ready before a start


def test_one_that_is_missing_is_built(tmp_path: Path, nothing_is_small: None) -> None:
    path = tmp_path / "Data.fs"
    path.write_bytes(commits((1, 2), (3,)))
    made = ready_index(path)
    assert (made.done, made.why) == ("built", "there was none")
    assert opened_with_index(path)


def test_one_of_a_small_file_is_left_to_filestorage(tmp_path: Path) -> None:
    path = tmp_path / "Data.fs"
    path.write_bytes(commits((1, 2), (3,)))
    assert ready_index(path).done == "kept"
    assert not index_of(path).exists()


def test_one_that_cannot_be_read_is_built_anew(tmp_path: Path, nothing_is_small: None) -> None:
    path = tmp_path / "Data.fs"
    path.write_bytes(commits((1, 2), (3,)))
    index_of(path).write_bytes(b"text")
    made = ready_index(path)
    assert made.done == "built"
    assert "no index that a FileStorage saved" in made.why
    assert opened_with_index(path)


def test_one_that_is_right_stays(tmp_path: Path, nothing_is_small: None) -> None:
    path = tmp_path / "Data.fs"
    path.write_bytes(commits((1, 2), (3,)))
    build_index(path)
    before = index_of(path).stat()
    made = ready_index(path)
    assert (made.done, made.why, made.objects) == ("kept", "", 3)
    assert index_of(path).stat() == before


def test_one_of_another_file_is_replaced_however_small_it_is(tmp_path: Path) -> None:
    path = tmp_path / "Data.fs"
    other = commits((1, 2), (3,), (1,))
    path.write_bytes(other)
    build_index(path)
    path.write_bytes(commits((1, 2), (3,), (2,)))
    assert len(other) == path.stat().st_size
    made = ready_index(path)
    assert made.done == "built"
    assert "the last record of oid 0x1 is at byte" in made.why
    assert opened_with_index(path)


def test_one_of_another_file_is_moved_aside_where_none_can_be_written(tmp_path: Path) -> None:
    """FileStorage would take it, and answer with old objects."""
    path = tmp_path / "Data.fs"
    path.write_bytes(commits((1, 2), (3,), (1,)))
    build_index(path)
    foreign = index_of(path).read_bytes()
    path.write_bytes(commits((1, 2), (3,), (2,)))
    Path(f"{index_of(path)}.new").mkdir()  # in the way of the new one
    with pytest.raises(StorageUnwritable):
        ready_index(path)
    assert not index_of(path).exists()
    assert Path(f"{index_of(path)}.foreign").read_bytes() == foreign


READY_IF_SLOW = """
import sys
from zmount.filestorage import reindex
reindex.SOON = 0
made = reindex.ready_index(sys.argv[1])
print(made.done, made.why)
"""


def test_without_a_fast_core_scans_are_left_to_filestorage(tmp_path: Path) -> None:
    path = tmp_path / "Data.fs"

    def said() -> str:
        command = [sys.executable, "-c", READY_IF_SLOW, str(path)]
        environment = {**os.environ, "ZMOUNT_CORE": "plain"}
        return subprocess.run(command, capture_output=True, text=True, env=environment).stdout

    path.write_bytes(commits((1, 2), (3,), (1,)))
    assert said() == "kept there was none\n"
    build_index(path)
    assert said() == "kept \n"
    path.write_bytes(commits((1, 2), (3,), (2,)))
    assert said().startswith("removed the last record of oid 0x1 is at byte")
    assert not index_of(path).exists()


def grown(path: Path, *more: tuple[int, ...]) -> None:
    """Let the data file have MORE transactions than its index knows."""
    before = tuple((number, 500 + number) for number in range(50))
    path.write_bytes(commits(*before))
    build_index(path)
    path.write_bytes(commits(*before, *more))


@pytest.mark.parametrize("count", [1, 10, 500])
def test_one_that_is_behind_is_brought_up_to_date(
    tmp_path: Path, nothing_is_small: None, count: int
) -> None:
    path = tmp_path / "Data.fs"
    grown(path, *((7, 1000 + number) for number in range(count)))
    made = ready_index(path)
    assert made.done == ("built" if count == 500 else "updated")
    assert "bytes before the file did" in made.why
    assert made.position == made.end
    updated = index_of(path).read_bytes()
    saved = read_index(index_of(path))
    assert saved is not None
    assert made.objects == len(saved)
    build_index(path)
    assert index_of(path).read_bytes() == updated


@given(history=histories(packed=False))
@settings(max_examples=examples(60), deadline=None)
def test_after_any_history_filestorage_opens_with_an_index(history: Any) -> None:
    """Whatever is in the last transactions, and whichever of them the saved index knows."""
    before = reindex.SOON, reindex.SLOW_CORES
    reindex.SOON, reindex.SLOW_CORES = 0, ()
    with TemporaryDirectory(dir=fast_directory(Path()), prefix="zm-") as directory:
        writer = Writer(Path(directory, "Data.fs"))
        writer.write(history[: len(history) // 2 + 1])
        writer.close()
        saved = index_of(writer.path).read_bytes()
        writer.open()
        writer.write(history[len(history) // 2 + 1 :])
        writer.close()
        for index in (index_of(writer.path).read_bytes(), saved):
            index_of(writer.path).write_bytes(index)
            made = ready_index(writer.path)
            taken = opened_with_index(writer.path)
            assert taken or made.done == "kept"
            if made.done == "updated":
                updated = index_of(writer.path).read_bytes()
                build_index(writer.path)
                assert index_of(writer.path).read_bytes() == updated
    reindex.SOON, reindex.SLOW_CORES = before


def test_what_stands_twice_in_a_packed_transaction_is_scanned(
    tmp_path: Path, nothing_is_small: None
) -> None:
    """A pack leaves no previous positions to go back by."""
    first = Record(oid=1, data=b"x" * 200)
    twice = (Record(oid=1, data=b"y" * 9), Record(oid=1, data=b"z" * 9))
    path = tmp_path / "Data.fs"
    path.write_bytes(
        file_of(
            Transaction(tid=1, status=b"p", records=(first,)),
            Transaction(tid=2, status=b"p", records=twice),
        )
    )
    fsindex = fsIndex()
    fsindex[p64(1)] = len(file_of(Transaction(tid=1, records=(first,)))) + 23 + 51
    fsindex.save(path.stat().st_size, index_of(path))
    made = ready_index(path)
    assert made.done == "built"
    assert opened_with_index(path)


def test_after_two_undos_in_one_transaction_filestorage_does_not_scan(
    tmp_path: Path, nothing_is_small: None
) -> None:
    writer = Writer(tmp_path / "Data.fs")
    for _ in range(3):
        writer.commit(Store(number=0), Store(number=1))
    assert writer.commit(Undo(number=0), Undo(number=1))
    writer.close()
    assert not opened_with_index(writer.path)
    assert ready_index(writer.path).done == "updated"
    assert opened_with_index(writer.path)


def test_where_every_transaction_is_refused_there_is_nothing_to_do(
    tmp_path: Path, nothing_is_small: None
) -> None:
    writer = Writer(tmp_path / "Data.fs")
    for number in range(3):
        writer.commit(StoreBlob(number=number, twice=True))
    writer.close()
    before = index_of(writer.path).read_bytes()
    assert ready_index(writer.path).done == "kept"
    assert index_of(writer.path).read_bytes() == before


flips = st.lists(st.tuples(st.integers(0, 2**12), st.integers(0, 255)), max_size=3)


def flipped(content: bytes, flips: list[tuple[int, int]]) -> bytes:
    damaged = bytearray(content)
    for at, value in flips:
        damaged[at % len(damaged)] = value
    return bytes(damaged)


@given(file_flips=flips, index_flips=flips, cut=st.integers(0, 200), more=st.integers(0, 3))
@settings(
    max_examples=examples(200),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_whatever_lies_there_filestorage_finds_what_it_would_find_without_an_index(
    file_flips: list[tuple[int, int]],
    index_flips: list[tuple[int, int]],
    cut: int,
    more: int,
    nothing_is_small: None,
) -> None:
    before = tuple((number, number % 3) for number in range(6))
    with TemporaryDirectory(dir=fast_directory(Path()), prefix="zm-") as directory:
        path = Path(directory, "Data.fs")
        path.write_bytes(commits(*before))
        build_index(path)
        index_of(path).write_bytes(flipped(index_of(path).read_bytes(), index_flips))
        content = flipped(commits(*before, *((2, 50 + n) for n in range(more))), file_flips)
        path.write_bytes(content[: len(content) - cut])
        try:
            ready_index(path)
        except ZMountError as why:
            assert str(path) in str(why)
            return
        with_index = opened(path)
        index_of(path).unlink(missing_ok=True)
        assert with_index == opened(path)


def opened(path: Path) -> object:
    """Return what FileStorage finds in PATH, or how it fails."""
    try:
        storage = FileStorage(str(path), read_only=True)
    except (CorruptedError, FileStorageError, ValueError, struct.error) as why:
        return type(why)
    try:
        return storage.getSize(), dict(storage._index.items()), storage.lastTransaction()
    finally:
        storage.close()


# With a real ZEO server


def test_a_blob_stored_last_through_zeo_does_not_make_the_next_start_slow(
    short_directory: Path, nothing_is_small: None
) -> None:
    with zeo_server(short_directory) as server:
        for number in range(3):
            with server.root() as root:
                root[number] = number
        for number in range(2):
            with server.root() as root:
                root[f"blob {number}"] = blob(b"content")
        server.stop()
        storage = FileStorage(str(server.data_fs), blob_dir=str(server.blob_dir))
        assert not storage._used_index, "then FileStorage has been repaired"
        storage.close()

        made = ready_index(server.data_fs)

        assert (made.done, made.why) == ("updated", "FileStorage would have refused it")
        assert made.objects == 3, "the root and both blobs, which the index does not know"
        assert opened_with_index(server.data_fs)
        storage = FileStorage(str(server.data_fs), blob_dir=str(server.blob_dir))
        assert storage._used_index == 1
        storage.close()
        ready_index(server.data_fs)
        server.start()
        with server.root() as root:
            assert root[2] == 2
            assert root["blob 1"].open().read() == b"content"
            root["after"] = True
        server.stop()
        assert server.log.count("Ignoring index") == 0


def test_after_a_kill_the_index_of_the_last_start_is_brought_up_to_date(
    short_directory: Path, nothing_is_small: None
) -> None:
    with zeo_server(short_directory) as server:
        for number in range(5):
            with server.root() as root:
                root[number] = number
        server.stop(signal.SIGKILL)
        made = ready_index(server.data_fs)
        assert made.done in ("updated", "built")
        assert opened_with_index(server.data_fs)
        server.start()
        with server.root() as root:
            assert sorted(root) == [0, 1, 2, 3, 4]


def test_a_running_server_keeps_its_storage_to_itself(short_directory: Path) -> None:
    with zeo_server(short_directory) as server:
        assert server.process is not None
        with pytest.raises(Locked, match=f"process {server.process.pid} has it open"):
            build_index(server.data_fs)


# Killed, and without space


BUILD = """
import signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from zmount.errors import ZMountError
from zmount.filestorage.reindex import build_index
print("ready", flush=True)
try: build_index(sys.argv[1])
except ZMountError as why: print(why)
"""


def test_a_full_disk_leaves_the_index_that_was(tmp_path: Path) -> None:
    path = tmp_path / "Data.fs"
    path.write_bytes(commits(*((number,) for number in range(2000))))
    index_of(path).write_bytes(b"before")

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = subprocess.run(
        [sys.executable, "-c", BUILD, str(path)], capture_output=True, text=True, preexec_fn=limit
    )
    assert "the index cannot be written: File too large" in done.stdout, done.stderr
    assert index_of(path).read_bytes() == b"before"
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        "Data.fs",
        "Data.fs.index",
        "Data.fs.lock",
    ]


def test_a_kill_leaves_the_old_index_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "Data.fs"
    path.write_bytes(commits(*((number,) for number in range(30_000))))
    build_index(path)
    right = index_of(path).read_bytes()
    index_of(path).write_bytes(b"before")
    for number in range(5):
        command = [sys.executable, "-c", BUILD, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as building:
            assert building.stdout is not None
            building.stdout.readline()
            time.sleep(number / 80)
            building.kill()
        assert index_of(path).read_bytes() in (b"before", right)
    build_index(path)
    assert index_of(path).read_bytes() == right
    assert not list(tmp_path.glob("*.new"))
