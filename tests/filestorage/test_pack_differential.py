"""What our packer writes, compared with stock's and with a slow packer, over generated histories.

Each history is packed three times, at any time and with or without garbage
collection: by ZODB's packer, by the rule (``pack_rule.py``) and by ours. Ours
must write the rule's bytes, and where stock keeps its promises these are
stock's own. ``ZMOUNT_TEST_DEPTH=20`` tries twenty times as many histories.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from histories import (
    History,
    Packer,
    Writer,
    examples,
    fast_directory,
    histories,
    stop_after,
    time_after,
)
from hypothesis import HealthCheck, event, given, note, settings
from hypothesis import strategies as st
from pack_rule import (
    blobs_of,
    broken_promises,
    is_refused,
    is_written_otherwise,
    packed,
    packs_by_rule,
    promised,
    read,
    stock,
)
from packers import CORES, IS_STOCK, packer_here
from ZODB.FileStorage import FileStorage
from ZODB.FileStorage.FileStorage import FileStorageError
from ZODB.fsIndex import fsIndex
from ZODB.serialize import referencesf
from ZODB.utils import p64

from zmount.errors import PackRefused
from zmount.filestorage.cores import VARIABLE, chosen
from zmount.filestorage.output import Output
from zmount.filestorage.packing import Job, Packing
from zmount.filestorage.source import open_source

times = st.integers(0, 12)  # transactions before the last one: some are before the first


def settled(number: int) -> Any:
    return settings(
        max_examples=examples(number),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A directory to write many files in; ZODB's warnings are not shown."""
    logging.disable(logging.ERROR)
    with tempfile.TemporaryDirectory(dir=fast_directory(tmp_path)) as name:
        yield Path(name)
    logging.disable(logging.NOTSET)


@pytest.fixture(params=CORES)
def core(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The engine's core in this process and its children: the plain one, then the compiled."""
    monkeypatch.setenv(VARIABLE, request.param)
    chosen.cache_clear()
    yield request.param
    chosen.cache_clear()


def in_process(storage: Any, references: Any, stop: bytes, gc: bool) -> Any:
    """Pack with the engine, but in this process and in FileStorage's own way of switching."""
    path = Path(storage._file_name)
    job = Job(
        path=path,
        end=storage.getSize(),
        stop=int.from_bytes(stop, "big"),
        gc=gc,
        wants_blobs=storage.blob_dir is not None,
    )
    new = path.with_name(path.name + ".pack")
    with open_source(path, job.end) as source:
        packing = Packing(source, job, lambda phase, done, total: None)
        packing.survey()
        if packing.is_redundant:
            return None
        with Output(new, path) as output:
            if packing.frees_nothing(output):
                new.unlink()
                return None
            packing.write_rest(output)
            output.sync()
        if storage.blob_dir:
            Path(storage.blob_dir, ".removed").write_bytes(b"".join(packing.removed_blobs()))
        mark, table = chosen().mark, packing.found.table
        pairs = bytearray(16 * table.count)
        words = memoryview(pairs).cast("Q")
        count = mark.pairs_of(table.slots, mark.MOVED, words)
        index = fsIndex()
        for number in range(count):
            index[p64(words[2 * number])] = words[2 * number + 1]
        words.release()
    storage._commit_lock.acquire()  # FileStorage releases it
    return packing.size, index


class Result:
    """A copy of a storage in DIRECTORY, packed; ``error`` is what the packer raised."""

    def __init__(self, writer: Writer, directory: Path, packer: Packer, after: int, gc: bool):
        directory.mkdir()
        self.path = directory / "Data.fs"
        self.blob_dir = directory / "blobs"
        shutil.copy(writer.path, self.path)
        shutil.copytree(writer.blob_dir, self.blob_dir)
        self.storage = FileStorage(str(self.path), blob_dir=str(self.blob_dir), packer=packer)
        self.error: Exception | None = None
        try:
            self.storage.pack(time_after(after), referencesf, gc=gc)
        except Exception as error:  # whatever stock may raise
            if packer is not stock and not isinstance(error, (FileStorageError, PackRefused)):
                raise
            self.error = error
        if self.error is not None and self.storage._commit_lock.locked():
            self.storage._commit_lock.release()  # stock's PackError leaves it locked
        self.text = self.path.read_bytes()
        self.index = dict(self.storage._index.items())

    @property
    def saved_index(self) -> tuple[int, dict[bytes, int]]:
        """The size and the index that the index file names."""
        saved = fsIndex.load(str(self.path) + ".index")
        return saved["pos"], dict(saved["index"].items())

    @property
    def blobs(self) -> dict[str, bytes]:
        """Every blob's file."""
        return blob_files(self.blob_dir)

    def missing_blobs(self) -> list[str]:
        """Return the blobs that a record needs and that are not there."""
        where = self.storage.fshelper.getBlobFilename
        needed = sorted(blobs_of(self.path))
        return [where(oid, tid) for oid, tid in needed if not Path(where(oid, tid)).exists()]


def blob_files(blob_dir: Path) -> dict[str, bytes]:
    return {str(path.relative_to(blob_dir)): path.read_bytes() for path in blob_dir.rglob("*.blob")}


def compare(directory: Path, packer: Packer, history: History, before: int, gc: bool) -> str:
    """Write HISTORY, pack it thrice and compare; return what stock made of it."""
    writer = Writer(directory / "written.fs", packer=packs_by_rule)
    results = []
    try:
        writer.write(history)
        writer.close()
        note("\n".join(writer.log))
        after = max(writer.number - before, -1)
        note(f"packed to after {after}, gc {gc}")
        if is_refused(writer.path, stop_after(after), gc=gc):
            must_refuse(writer, directory / "refused", packer, after)
            return "refused"
        owed = promised(read(writer.path), stop_after(after), gc=gc)
        ours = Result(writer, directory / "ours", packer, after, gc)
        results.append(ours)
        assert ours.error is None
        must_be_as_the_rule_says(ours, writer, stop_after(after), gc)
        assert broken_promises(ours.storage, owed) == []
        assert ours.missing_blobs() == []
        theirs = Result(writer, directory / "stock", stock, after, gc)
        results.append(theirs)
        verdict = judge(theirs, owed)
        if verdict == "right":
            if is_written_otherwise(writer.path, stop_after(after), gc=gc):
                verdict = "right, in other words"
            else:
                assert ours.text == theirs.text
                assert ours.index == theirs.index
                assert ours.blobs == theirs.blobs
        return verdict
    finally:
        for result in results:
            result.storage.close()
        writer.close()
        shutil.rmtree(directory)
        directory.mkdir()


def must_refuse(writer: Writer, directory: Path, packer: Packer, after: int) -> None:
    """Check that nothing is packed, and nothing is touched; stock raises a KeyError there."""
    refused = Result(writer, directory, packer, after, gc=True)
    refused.storage.close()
    assert "there is no root object" in str(refused.error)
    assert refused.text == writer.path.read_bytes()
    assert refused.blobs == blob_files(writer.blob_dir)


def must_be_as_the_rule_says(ours: Result, writer: Writer, stop: bytes, gc: bool) -> None:
    """Check the file, both its indexes and its blobs."""
    right = packed(writer.path, stop, gc=gc)
    blobs = blob_files(writer.blob_dir)
    if right is None:
        assert ours.text == writer.path.read_bytes()
        assert ours.blobs == blobs
        return
    assert ours.text == right.text
    assert ours.index == right.index
    assert ours.saved_index == (len(right.text), right.index)
    where = ours.storage.fshelper.getBlobFilename
    for oid, tid in right.removed_blobs:
        revision = Path(where(oid, tid)).relative_to(ours.blob_dir)
        # an undo that failed leaves a blob's file, too: it goes with the object
        gone = str(revision.parent) if oid not in right.index else str(revision)
        blobs = {name: text for name, text in blobs.items() if not name.startswith(gone)}
    assert ours.blobs == blobs


def judge(theirs: Result, owed: dict[tuple[bytes, bytes], bytes | None]) -> str:
    """Return what stock did: ``right``, or the kind of its failure."""
    if theirs.error is not None:
        return f"raises {type(theirs.error).__name__}"
    if broken_promises(theirs.storage, owed):
        return "loses objects"
    return "loses blobs" if theirs.missing_blobs() else "right"


@pytest.mark.skipif(IS_STOCK, reason="stock has no engine")
def test_the_engine_writes_stocks_bytes_wherever_stock_is_right(directory: Path, core: str) -> None:
    seen: Counter[str] = Counter()

    @settled(100)
    @given(histories(packed=True), times, st.booleans())
    def run(history: History, before: int, gc: bool) -> None:
        verdict = compare(directory, in_process, history, before, gc)
        event(verdict)
        seen[verdict] += 1

    run()

    assert seen["right"] > seen.total() / 2, seen  # or the comparison says little


def test_the_packer_writes_stocks_bytes_wherever_stock_is_right(directory: Path) -> None:
    seen: Counter[str] = Counter()

    @settled(15)
    @given(histories(packed=True), times, st.booleans())
    def run(history: History, before: int, gc: bool) -> None:
        seen[compare(directory, packer_here, history, before, gc)] += 1

    run()

    assert seen["right"] > seen.total() / 2, seen
