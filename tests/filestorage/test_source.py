"""Opening a data file, and where what is committed in it ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest
from fs_bytes import MAGIC, Record, Transaction, commits, file_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage
from ZODB.utils import p64, z64

from zmount.errors import CorruptFile, StorageUnreadable
from zmount.filestorage.format import FIRST, new_cursor
from zmount.filestorage.source import (
    Source,
    batches,
    committed_end,
    count_records,
    last_end,
    last_tid,
    open_source,
)

THREE = commits((1, 2), (3,), (4, 5))
ENDS = [len(commits(*((1, 2), (3,), (4, 5))[:count])) for count in range(4)]


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[bytes], Path]:
    """A function that makes a data file of the bytes it is given."""

    def stored(content: bytes) -> Path:
        path = tmp_path / "Data.fs"
        path.write_bytes(content)
        return path

    return stored


# Opening


def test_what_is_no_file_storage_is_told_from_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text, empty, old = tmp_path / "text", tmp_path / "empty", tmp_path / "old"
    text.write_text("Not a database.")
    empty.touch()
    old.write_bytes(b"FS21" + THREE[4:])
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    named = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)  # the path of a socket has 107 bytes
        listener.bind("socket")
    for path, said in (
        (text, "does not begin as a FileStorage does"),
        (empty, "the file is empty"),
        (old, "Python 2 wrote this"),
        (tmp_path, "this is a directory"),
        (fifo, "this is no regular file"),
        (named, "cannot be read"),
        (tmp_path / "missing", "No such file"),
        (tmp_path / "text" / "below", "Not a directory"),
        (Path("/dev/zero"), "no regular file"),
    ):
        with pytest.raises(StorageUnreadable, match=said) as caught, open_source(path):
            pass
        assert str(path) in str(caught.value)


def test_a_file_that_may_not_be_read_is_named(short_directory: Path) -> None:
    path = short_directory / "Data.fs"
    path.write_bytes(THREE)
    path.chmod(0)
    short_directory.chmod(0o711)
    code = (
        "import os, sys; from zmount.filestorage.source import open_source\n"
        "os.getuid() or os.setuid(65534)\n"
        "try: open_source(sys.argv[1]).__enter__()\n"
        "except Exception as why: print(type(why).__name__, why)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    ).stdout
    assert said.startswith("StorageUnreadable")
    assert "Permission denied" in said


def test_a_file_shorter_than_it_should_be_is_damaged(stored: Callable[[bytes], Path]) -> None:
    path = stored(THREE)
    with pytest.raises(CorruptFile, match="ends here") as caught:
        open_source(path, len(THREE) + 1).__enter__()
    assert caught.value.offset == len(THREE)


def test_a_source_stays_what_it_was_when_a_pack_replaces_the_file(
    stored: Callable[[bytes], Path],
) -> None:
    path = stored(THREE)
    with open_source(path) as source:
        new = path.with_name("new")
        new.write_bytes(commits((1,)))
        new.replace(path)
        assert count_records(source) == 5
        assert committed_end(source) == len(THREE)
        assert source.inode != path.stat().st_ino


def test_nothing_stays_open(stored: Callable[[bytes], Path]) -> None:
    path = stored(THREE)
    before = set(Path("/proc/self/fd").iterdir())
    with open_source(path) as source:
        assert source.end == len(THREE)
    text = path.with_name("text")
    text.write_text("text")
    with pytest.raises(StorageUnreadable), open_source(text):
        pass
    assert set(Path("/proc/self/fd").iterdir()) == before
    with pytest.raises(ValueError, match="released"):
        source.buffer[0]


def test_an_error_of_the_caller_is_not_taken_for_one_of_the_file(
    stored: Callable[[bytes], Path],
) -> None:
    with pytest.raises(OSError, match="mine"), open_source(stored(THREE)):
        raise OSError(5, "mine")


def test_batches_say_where_the_file_is_damaged(stored: Callable[[bytes], Path]) -> None:
    content = bytearray(THREE)
    content[ENDS[1] + 16] = ord("x")
    with open_source(stored(bytes(content))) as source:
        found: list[int] = []
        with pytest.raises(CorruptFile) as caught:
            for batch, count in batches(source, new_cursor()):
                found += batch[: 6 * count : 6]
    assert found == [1, 2]
    assert caught.value.offset == ENDS[1]


# Where what is committed ends


def test_the_whole_of_a_sound_file_is_committed(stored: Callable[[bytes], Path]) -> None:
    for count, end in enumerate(ENDS):
        with open_source(stored(THREE[:end])) as source:
            assert committed_end(source) == last_end(source) == end, f"{count} transactions"
            assert last_tid(source, end) == count


@pytest.mark.parametrize("lacking", range(1, ENDS[3] - ENDS[2]))
def test_a_torn_transaction_is_left_out(stored: Callable[[bytes], Path], lacking: int) -> None:
    with open_source(stored(THREE[:-lacking])) as source:
        assert committed_end(source) == ENDS[2]
        assert last_end(source) in (None, ENDS[2])


def test_a_transaction_that_is_voted_on_is_left_out(stored: Callable[[bytes], Path]) -> None:
    voted = Transaction(tid=4, status=b"c", records=(Record(oid=9, data=b"x" * 99),))
    whole = THREE + voted.at(len(THREE))
    for content in (whole, whole[:-9], whole[:-100]):
        with open_source(stored(content)) as source:
            assert committed_end(source) == len(THREE)
    with open_source(stored(whole)) as source:
        assert last_end(source) == len(THREE)


def test_a_first_transaction_that_is_voted_on_leaves_nothing(
    stored: Callable[[bytes], Path],
) -> None:
    content = file_of(Transaction(tid=1, status=b"c", records=(Record(oid=0, data=b"x"),)))
    with open_source(stored(content)) as source:
        assert committed_end(source) == last_end(source) == FIRST
        assert last_tid(source, FIRST) == 0


def test_what_a_crash_of_the_machine_leaves_is_left_out(stored: Callable[[bytes], Path]) -> None:
    for rest in (bytes(1), bytes(22), bytes(23), bytes(31), bytes(5000), b"\xff" * 40):
        with open_source(stored(THREE + rest)) as source:
            assert committed_end(source) == len(THREE)


def test_a_damaged_length_does_not_cut_off_what_follows(stored: Callable[[bytes], Path]) -> None:
    """FileStorage truncates a file where a length leads beyond its end."""
    content = commits(*((number,) for number in range(1, 9)))
    third = len(commits((1,), (2,)))
    for at, value in ((8, 0x7F), (15, 1), (16, ord("c")), (14, 0xFF)):
        damaged = bytearray(content)
        damaged[third + at] = value
        path = stored(bytes(damaged))
        with open_source(path) as source, pytest.raises(CorruptFile) as caught:
            committed_end(source)
        assert caught.value.offset == third


def test_a_torn_transaction_may_hold_what_ends_as_a_file_storage_does(
    stored: Callable[[bytes], Path],
) -> None:
    """Then the end alone misleads; the walk from a start does not pass over it unseen."""
    inner = commits(*((number,) for number in range(20, 29)))[4:]
    torn = Transaction(tid=4, records=(Record(oid=9, data=inner + b"rest"),)).at(len(THREE))
    content = THREE + torn[: torn.index(inner) + len(inner)]
    with open_source(stored(content)) as source:
        assert last_end(source) == len(content)
        with pytest.raises(CorruptFile) as caught:
            committed_end(source)
        assert caught.value.offset == len(THREE)


def test_the_walk_may_start_at_any_transaction(stored: Callable[[bytes], Path]) -> None:
    with open_source(stored(THREE + b"torn")) as source:
        assert {committed_end(source, end) for end in ENDS} == {len(THREE)}


def test_no_tid_is_read_where_no_transaction_ends(stored: Callable[[bytes], Path]) -> None:
    with open_source(stored(THREE)) as source:
        for end in set(range(FIRST + 1, len(THREE) + 1)) - set(ENDS):
            with pytest.raises(CorruptFile):
                last_tid(source, end)


def test_a_buffer_alone_is_judged_like_a_file() -> None:
    source = Source(path=Path("x"), buffer=memoryview(THREE + b"abc"), end=len(THREE) + 3, inode=0)
    assert committed_end(source) == len(THREE)


def test_an_aborted_vote_that_truncates_the_file_does_not_kill(tmp_path: Path) -> None:
    """A mapping's page that is gone is a SIGBUS: only what is committed is touched through it."""
    code = """
import os, sys
from zmount.filestorage.source import open_source, committed_end, last_end, count_records
path = sys.argv[1]
end = os.path.getsize(path)
with open(path, "ab") as file:
    file.write((9).to_bytes(8, "big") + (1 << 20).to_bytes(8, "big") + b"c" + bytes(1 << 20))
    file.write(b"1234567")
with open_source(path) as source:
    os.truncate(path, end)
    print(committed_end(source) == end, last_end(source) in (None, end))
"""
    path = tmp_path / "Data.fs"
    path.write_bytes(THREE)
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "True True\n"), done.stderr


def test_filestorage_ends_where_we_say(tmp_path: Path) -> None:
    """Whatever is torn: FileStorage truncates to where we stop reading."""
    path = tmp_path / "Data.fs"
    storage = FileStorage(str(path))
    for number in range(3):
        transaction = TransactionMetaData(description=f"number {number}")
        storage.tpc_begin(transaction)
        storage.store(p64(number), z64, b"x" * 50, "", transaction)
        storage.tpc_vote(transaction)
        storage.tpc_finish(transaction)
    whole = storage.getSize()
    transaction = TransactionMetaData()
    storage.tpc_begin(transaction)
    storage.store(p64(9), z64, b"y" * 50, "", transaction)
    storage.tpc_vote(transaction)
    voted = path.read_bytes()
    storage.tpc_abort(transaction)
    storage.close()
    assert len(voted) > whole
    for size in range(whole, len(voted) + 1):
        torn = tmp_path / f"{size}.fs"
        torn.write_bytes(voted[:size])
        with open_source(torn) as source:
            end = committed_end(source)
        opened = FileStorage(str(torn))
        assert opened.getSize() == end == whole
        opened.close()


@given(flips=st.lists(st.tuples(st.integers(4, 2**12), st.integers(0, 255)), max_size=5))
@settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_damage_ends_in_a_position_or_in_words(
    stored: Callable[[bytes], Path], flips: list[tuple[int, int]]
) -> None:
    content = bytearray(commits(*((number, 9) for number in range(1, 6))))
    for at, value in flips:
        content[FIRST + at % (len(content) - FIRST)] = value
    with open_source(stored(bytes(content))) as source:
        last_end(source)
        try:
            end = committed_end(source)
        except CorruptFile as why:
            assert FIRST <= why.offset < len(content)
        else:
            assert FIRST <= end <= len(content)
        assert isinstance(source.inode, int)
        assert isinstance(new_cursor(), array)
    assert content[:4] == MAGIC
