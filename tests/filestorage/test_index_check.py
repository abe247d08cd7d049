"""Does a saved index belong to the file beside it, and will FileStorage take it?"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fs_bytes import Record, Transaction, commits, file_of
from histories import Store, StoreBlob, Undo, Writer, examples, fast_directory, histories
from hypothesis import given, settings
from ZODB.FileStorage import FileStorage
from ZODB.fsIndex import fsIndex
from ZODB.utils import p64

from zmount.filestorage import index_check
from zmount.filestorage.index import read_index, write_index
from zmount.filestorage.index_check import Judged, judge, last_taken
from zmount.filestorage.objects import scan
from zmount.filestorage.source import open_source


@pytest.fixture(params=["whole", "sampled"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Small files are compared whole; then the same as if they were large."""
    if request.param == "sampled":
        monkeypatch.setattr(index_check, "WHOLE", 0)
        monkeypatch.setattr(index_check, "WINDOW", 40)
    yield request.param


def judged(path: Path) -> Judged:
    """Judge the index that lies beside PATH."""
    saved = read_index(f"{path}.index")
    assert saved is not None
    with open_source(path) as source:
        return judge(source, saved)


def made(path: Path, content: bytes) -> Path:
    """Make the data file PATH and its right index."""
    path.write_bytes(content)
    with open_source(path) as source:
        write_index(f"{path}.index", scan(source, source.end).table, source.end)
    return path


MANY = commits(*((number, number + 1000) for number in range(200)))


def test_a_right_index_is_known_for_one(tmp_path: Path, way: str) -> None:
    path = made(tmp_path / "Data.fs", MANY)
    assert judged(path) == Judged(why_not="", end=len(MANY), is_taken=True)


def test_transactions_after_it_do_no_harm(tmp_path: Path, way: str) -> None:
    for count in (1, 50, 199):
        before = commits(*((number, number + 1000) for number in range(count)))
        path = made(tmp_path / "Data.fs", before)
        path.write_bytes(MANY + b"torn")
        assert judged(path) == Judged(why_not="", end=len(MANY), is_taken=True)


def test_the_empty_index_that_filestorage_leaves_is_right(tmp_path: Path, way: str) -> None:
    """It saves one when it makes a file, and not again before it closes."""
    path = tmp_path / "Data.fs"
    path.write_bytes(MANY)
    fsIndex().save(4, f"{path}.index")
    assert judged(path) == Judged(why_not="", end=len(MANY), is_taken=False)


def test_an_index_that_ends_beyond_the_file_is_not_its(tmp_path: Path, way: str) -> None:
    path = made(tmp_path / "Data.fs", MANY)
    path.write_bytes(MANY[: len(MANY) // 2])
    assert "the file at" in judged(path).why_not


def test_an_index_that_ends_between_boundaries_is_not_its(tmp_path: Path, way: str) -> None:
    path = made(tmp_path / "Data.fs", MANY)
    shutil.copy(f"{path}.index", tmp_path / "kept")
    path.write_bytes(commits((1,), data=b"x" * 33) + MANY[4:])
    assert "where no transaction ends" in judged(path).why_not


def store(storage: Any, transaction: Any, oid: int, data: bytes) -> None:
    serial = storage.load(p64(oid))[1] if p64(oid) in storage._index else bytes(8)
    storage.store(p64(oid), serial, data, "", transaction)


def two_of_one_past(directory: Path) -> tuple[Path, Path]:
    """Return two files of one size that differ in one transaction, as E of the swap did.

    After a common past the one changes object 1 and the other object 2; then
    both change the same object.
    """
    one, other = Writer(directory / "one.fs"), Writer(directory / "other.fs")
    for writer, changed in ((one, 1), (other, 2)):
        for number in range(3):
            writer.commit(Store(number=number))
        writer.commit(Store(number=changed))
        writer.commit(Store(number=0))
        writer.close()
    assert one.path.stat().st_size == other.path.stat().st_size
    return one.path, other.path


def test_an_index_that_filestorage_takes_and_that_is_anothers_is_found(
    tmp_path: Path, way: str
) -> None:
    one, other = two_of_one_past(tmp_path)
    shutil.copy(f"{other}.index", f"{one}.index")

    opened = FileStorage(str(one), read_only=True)
    assert opened._used_index, "then there is no danger any more"
    opened.close()

    assert judged(one).why_not.startswith("the last record of oid 0x1 is at byte")


@pytest.mark.parametrize("wrong", ["one entry", "one lacks", "one too many"])
def test_one_wrong_entry_at_the_end_is_found(tmp_path: Path, way: str, wrong: str) -> None:
    path = made(tmp_path / "Data.fs", MANY)
    info = fsIndex.load(f"{path}.index")
    index = info["index"]
    if wrong == "one entry":
        index[p64(1190)] = index[p64(190)]
    elif wrong == "one lacks":
        del index[p64(190)]
    else:
        index[p64(5000)] = index[p64(190)]
    index.save(info["pos"], f"{path}.index")
    assert judged(path).why_not


def test_wrong_entries_far_from_the_end_are_found(tmp_path: Path, way: str) -> None:
    path = made(tmp_path / "Data.fs", MANY)
    info = fsIndex.load(f"{path}.index")
    index = info["index"]
    for oid in range(100):
        index[p64(oid)], index[p64(oid + 1)] = index[p64(oid + 1)], index[p64(oid)]
    index.save(info["pos"], f"{path}.index")
    assert "is no record of oid" in judged(path).why_not or way == "whole"
    assert judged(path).why_not


def test_entries_in_a_wrong_order_are_found(tmp_path: Path, way: str) -> None:
    path = made(tmp_path / "Data.fs", MANY)
    content = bytearray(Path(f"{path}.index").read_bytes())
    at = content.index(b"\0\x01\0\x02\0\x03")
    content[at : at + 4] = b"\0\x02\0\x01"
    Path(f"{path}.index").write_bytes(content)
    assert judged(path).why_not


def test_a_file_before_a_pack_has_another_index_than_after_it(tmp_path: Path, way: str) -> None:
    writer = Writer(tmp_path / "Data.fs")
    for number in range(30):
        writer.commit(Store(number=number), Store(number=number + 1))
    writer.close()
    shutil.copy(f"{writer.path}.index", tmp_path / "before")
    writer.open()
    writer.pack(29, gc=False)
    writer.commit(Store(number=1, size=3000))
    writer.close()
    assert not judged(writer.path).why_not
    shutil.copy(tmp_path / "before", f"{writer.path}.index")
    assert judged(writer.path).why_not


# Will FileStorage take it?


def opens_with_index(path: Path, content: bytes, position: int) -> bool:
    """Return whether FileStorage takes the right index of CONTENT up to POSITION."""
    made(path, content[:position])
    path.write_bytes(content)
    opened = FileStorage(str(path), read_only=True)
    used = bool(opened._used_index)
    assert opened.getSize() == len(content)
    opened.close()
    return used


@given(history=histories(packed=False))
@settings(max_examples=examples(40), deadline=None)
def test_filestorage_takes_what_we_say_it_takes(history: Any) -> None:
    with TemporaryDirectory(dir=fast_directory(Path()), prefix="zm-") as directory:
        writer = Writer(Path(directory, "Data.fs"))
        writer.write(history)
        writer.close()
        content = writer.path.read_bytes()
        ends = [4]
        while ends[-1] < len(content):
            start = ends[-1]
            ends.append(start + int.from_bytes(content[start + 8 : start + 16], "big") + 8)
        path = Path(directory, "copy.fs")
        path.write_bytes(content)
        with open_source(path) as source:
            told = {end: index_check.is_taken(source, end) for end in ends}
            best = last_taken(source, len(content))
        taken = {end: opens_with_index(path, content, end) for end in ends}
        assert told == taken
        assert best == max((end for end in ends if taken[end]), default=0)


def test_a_blob_stored_as_zeo_does_it_is_what_filestorage_stumbles_over(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "Data.fs")
    writer.commit(Store(number=0))
    writer.commit(Store(number=1))
    end = writer.storage.getSize()
    writer.commit(StoreBlob(number=2, twice=True))
    writer.commit(StoreBlob(number=3, twice=True))
    writer.close()
    with open_source(writer.path) as source:
        assert not index_check.is_taken(source, source.end)
        assert last_taken(source, source.end) == end


def test_two_undos_in_one_transaction_are_another_reason(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "Data.fs")
    for _ in range(3):
        writer.commit(Store(number=0))
    end = writer.storage.getSize()
    assert writer.commit(Undo(number=0), Undo(number=1))
    writer.close()
    with open_source(writer.path) as source:
        assert last_taken(source, source.end) == end


def test_a_sixth_record_is_not_looked_at(tmp_path: Path) -> None:
    for first, is_taken in ((5, False), (6, True)):
        records = tuple(Record(oid=oid, data=b"x" * 9) for oid in (*range(1, first), 99, 50, 99))
        content = file_of(Transaction(tid=1, records=records))
        path = tmp_path / "Data.fs"
        path.write_bytes(content)
        with open_source(path) as source:
            assert index_check.is_taken(source, source.end) == is_taken
        assert opens_with_index(path, content, len(content)) == is_taken


def test_empty_and_undone_transactions_are_passed_over(tmp_path: Path) -> None:
    content = file_of(
        Transaction(tid=1, records=(Record(oid=1, data=b"x" * 99),)),
        Transaction(tid=2, status=b"u", records=(Record(oid=1, data=b"x" * 9),)),
        Transaction(tid=3, description=b"empty"),
    )
    path = tmp_path / "Data.fs"
    path.write_bytes(content)
    with open_source(path) as source:
        assert last_taken(source, source.end) == len(content)
    assert opens_with_index(path, content, len(content))


def test_a_file_of_empty_transactions_must_have_no_index(tmp_path: Path) -> None:
    """FileStorage cannot open it with one: it would read before the file's start."""
    content = file_of(*(Transaction(tid=number, description=b"d" * 50) for number in range(1, 5)))
    path = tmp_path / "Data.fs"
    path.write_bytes(content)
    with open_source(path) as source:
        assert last_taken(source, source.end) == 0
    with pytest.raises(OSError, match="Invalid argument"):
        opens_with_index(path, content, len(content))
