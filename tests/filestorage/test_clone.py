"""Clones of storages at rest and in use: complete, consistent, or not there at all."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from crashing import killed_at
from fs_bytes import Record, Transaction, commits, file_of, read_by_zodb
from histories import Store, StoreBlob, Writer, examples, fast_directory, histories
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pack_rule import stock
from zeo_servers import blob, zeo_server
from ZODB.blob import FilesystemHelper
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage
from ZODB.utils import p64, z64

from zmount.errors import (
    ApplyRefused,
    CorruptFile,
    Locked,
    StorageUnreadable,
    StorageUnwritable,
    ZMountError,
)
from zmount.filestorage import clone as clone_module
from zmount.filestorage.clone import Cloned, clone
from zmount.filestorage.clone_target import PART
from zmount.filestorage.index import read_index
from zmount.filestorage.index_check import judge
from zmount.filestorage.source import Source, open_source


@pytest.fixture
def written(tmp_path: Path) -> Writer:
    """A storage of some transactions and blobs, closed."""
    writer = Writer(tmp_path / "Data.fs")
    for number in range(4):
        writer.commit(Store(number=number), Store(number=0))
    writer.commit(StoreBlob(number=5))
    writer.commit(StoreBlob(number=6, twice=True))
    writer.commit(StoreBlob(number=5))
    writer.commit(Store(number=1))
    writer.close()
    return writer


def must_be_whole(made: Cloned) -> None:
    """Open the clone as FileStorage does; everything in it must be there and right."""
    index = made.data_fs.with_name(made.data_fs.name + ".index")
    with open_source(made.data_fs) as source:
        assert source.end == made.size_bytes
        if index.exists():
            saved = read_index(index)
            assert saved is not None
            assert not judge(source, saved).why_not
    records = read_by_zodb(made.data_fs)  # there is no torn end
    blob_dir = str(made.blob_dir) if made.blob_dir else None
    storage = FileStorage(str(made.data_fs), blob_dir=blob_dir, read_only=True)
    try:
        assert storage.getSize() == made.size_bytes
        assert storage.lastTransaction() == made.last_tid.to_bytes(8, "big")
        assert len(storage) == len({record.oid for record in records})
        for transaction in storage.iterator():
            for record in transaction:
                is_blob = record.data and storage.is_blob_record(record.data)
                if is_blob and made.blob_dir:
                    assert Path(storage.loadBlob(record.oid, record.tid)).stat().st_size
    finally:
        storage.close()


def blobs_in(directory: Path) -> set[str]:
    """Return the names of the blobs in DIRECTORY, with those of their directories."""
    return {str(path.relative_to(directory)) for path in directory.rglob("*.blob")}


def the_rest_is_gone(directory: Path) -> None:
    assert not (directory / PART).exists()


# At rest


def test_a_clone_is_the_same_storage(written: Writer, tmp_path: Path) -> None:
    made = clone(written.path, tmp_path / "clone", blob_dir=written.blob_dir)

    assert made.data_fs == tmp_path / "clone" / "Data.fs"
    assert made.data_fs.read_bytes() == written.path.read_bytes()
    assert made.blob_dir == tmp_path / "clone" / "blobs"
    assert blobs_in(made.blob_dir) == blobs_in(written.blob_dir)
    assert len(blobs_in(made.blob_dir)) == made.blobs_linked + made.blobs_copied == 3
    must_be_whole(made)
    the_rest_is_gone(tmp_path / "clone")
    assert sorted(each.name for each in (tmp_path / "clone").iterdir()) == [
        "Data.fs",
        "Data.fs.index",
        "blobs",
    ]


@given(history=histories(packed=False))
@settings(max_examples=examples(25), deadline=None)
def test_any_history_is_cloned(history: Any) -> None:
    with TemporaryDirectory(dir=fast_directory(Path()), prefix="zm-") as directory:
        writer = Writer(Path(directory, "Data.fs"))
        writer.write(history)
        writer.close()
        made = clone(writer.path, Path(directory, "clone"), blob_dir=writer.blob_dir)
        assert made.data_fs.read_bytes() == writer.path.read_bytes()
        must_be_whole(made)


def test_what_plone_wrote_is_cloned(plone_small: Any, tmp_path: Path) -> None:
    made = clone(plone_small.data_fs, tmp_path / "clone", blob_dir=plone_small.blob_dir)
    assert made.data_fs.read_bytes() == plone_small.data_fs.read_bytes()
    assert blobs_in(tmp_path / "clone" / "blobs") == blobs_in(plone_small.blob_dir)
    must_be_whole(made)
    assert (made.objects, made.index) == (8848, "scan")


def test_a_clone_can_be_written_and_packed_on_its_own(written: Writer, tmp_path: Path) -> None:
    before = written.path.read_bytes()
    blobs = blobs_in(written.blob_dir)
    made = clone(written.path, tmp_path / "clone", blob_dir=written.blob_dir)
    copy = Writer(made.data_fs, blobs=False)
    copy.storage.close()
    copy.storage = FileStorage(str(made.data_fs), blob_dir=str(made.blob_dir))
    assert copy.storage._used_index == 1
    transaction = TransactionMetaData()
    copy.storage.tpc_begin(transaction)
    copy.storage.store(p64(77), z64, b"cA\nB\n.N.", "", transaction)
    copy.storage.tpc_vote(transaction)
    copy.storage.tpc_finish(transaction)
    copy.storage.pack(time.time(), lambda data: [], gc=True)
    copy.storage.close()
    assert not blobs_in(tmp_path / "clone" / "blobs")
    assert written.path.read_bytes() == before
    assert blobs_in(written.blob_dir) == blobs


def test_blobs_on_the_same_volume_are_hard_links(written: Writer, tmp_path: Path) -> None:
    made = clone(written.path, tmp_path / "clone", blob_dir=written.blob_dir)
    assert (made.blobs_linked, made.blobs_copied) == (3, 0)
    assert made.blob_dir is not None
    for name in blobs_in(made.blob_dir):
        assert (made.blob_dir / name).samefile(written.blob_dir / name)


def test_blobs_on_another_volume_are_copied(written: Writer, tmp_path: Path) -> None:
    with TemporaryDirectory(dir="/dev/shm", prefix="zm-") as directory:
        other = Path(directory, "clone")
        assert other.parent.stat().st_dev != tmp_path.stat().st_dev
        made = clone(written.path, other, blob_dir=written.blob_dir)
        assert (made.blobs_linked, made.blobs_copied) == (0, 3)
        assert made.blob_dir is not None
        for name in blobs_in(made.blob_dir):
            found, original = made.blob_dir / name, written.blob_dir / name
            assert found.read_bytes() == original.read_bytes()
            assert found.stat().st_mode == original.stat().st_mode
        must_be_whole(made)


def test_modes_and_owners_are_those_of_the_storage(written: Writer, tmp_path: Path) -> None:
    written.path.chmod(0o640)
    written.blob_dir.chmod(0o710)
    if os.geteuid() == 0:
        for path in (written.path, written.blob_dir, *written.blob_dir.rglob("*")):
            os.chown(path, 1234, 1235)
    made = clone(written.path, tmp_path / "clone", blob_dir=written.blob_dir)
    owner = written.path.stat().st_uid, written.path.stat().st_gid
    for path in (made.data_fs.parent, *made.data_fs.parent.rglob("*")):
        assert (path.stat().st_uid, path.stat().st_gid) == owner, path
    assert stat.S_IMODE(made.data_fs.stat().st_mode) == 0o640
    assert made.blob_dir is not None
    for path in (made.blob_dir, *made.blob_dir.rglob("*")):
        original = written.blob_dir / path.relative_to(made.blob_dir)
        assert path.stat().st_mode == original.stat().st_mode


def test_other_layouts_of_blobs_stay_what_they_are(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "Data.fs", blobs=False)
    writer.commit(Store(number=0))
    writer.close()
    lawn = tmp_path / "lawn"
    helper = FilesystemHelper(str(lawn), layout_name="lawn")
    helper.create()
    os.makedirs(helper.getPathForOID(p64(3)))  # noqa: PTH103
    name = helper.getBlobFilename(p64(3), writer.serials[p64(0)])
    Path(name).write_bytes(b"content")
    made = clone(writer.path, tmp_path / "clone", blob_dir=lawn)
    assert made.blob_dir is not None
    assert blobs_in(made.blob_dir) == blobs_in(lawn)
    assert FilesystemHelper(str(made.blob_dir)).layout_name == "lawn"


def test_what_is_no_blob_of_a_cloned_transaction_is_left(written: Writer, tmp_path: Path) -> None:
    name = next(iter(blobs_in(written.blob_dir)))
    beside = (written.blob_dir / name).parent
    later = beside / f"0x{2**63:016x}.blob"
    for path in (later, beside / "0x12.blob", beside / "abc.tmp", written.blob_dir / "tmp" / "x"):
        path.write_bytes(b"?")
    os.mkfifo(beside / "0x0000000000000001.blob")
    expected = blobs_in(written.blob_dir) - {
        str((beside / left).relative_to(written.blob_dir))
        for left in (later.name, "0x12.blob", "0x0000000000000001.blob")
    }
    made = clone(written.path, tmp_path / "clone", blob_dir=written.blob_dir)
    assert made.blob_dir is not None
    assert blobs_in(made.blob_dir) == expected
    assert not (made.blob_dir / "tmp").exists()


def test_a_storage_without_blobs_has_a_clone_without(tmp_path: Path) -> None:
    path = tmp_path / "Data.fs"
    path.write_bytes(commits((0, 1), (2,)))
    for number, blob_dir in enumerate((None, tmp_path / "not there yet")):
        made = clone(path, tmp_path / str(number), blob_dir=blob_dir)
        assert made.blob_dir is None
        assert not (tmp_path / str(number) / "blobs").exists()
        must_be_whole(made)


def test_an_empty_storage_is_cloned(tmp_path: Path) -> None:
    path = tmp_path / "Data.fs"
    for number, content in enumerate(
        (b"FS30", file_of(*(Transaction(tid=tid, user=b"u" * 90) for tid in (1, 2, 3))))
    ):
        path.write_bytes(content)
        made = clone(path, tmp_path / str(number))
        assert made.data_fs.read_bytes() == content
        FileStorage(str(made.data_fs)).close()


def test_the_index_is_taken_from_the_saved_one_only_if_that_is_right(
    written: Writer, tmp_path: Path
) -> None:
    assert clone(written.path, tmp_path / "1").index == "saved index"
    index = written.path.with_name("Data.fs.index")
    other = Writer(tmp_path / "other.fs", blobs=False)
    for number in range(9):
        other.commit(Store(number=number))
    other.close()
    index.write_bytes(other.path.with_name("other.fs.index").read_bytes())
    made = clone(written.path, tmp_path / "2")
    assert made.index == "scan"
    must_be_whole(made)
    index.unlink()
    assert clone(written.path, tmp_path / "3").index == "scan"


# In use


def test_a_transaction_that_is_voted_on_is_not_in_the_clone(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "Data.fs")
    writer.commit(Store(number=0))
    size = writer.storage.getSize()
    transaction = TransactionMetaData()
    writer.storage.tpc_begin(transaction)
    writer.storage.store(p64(9), z64, b"x" * 1000, "", transaction)
    new = tmp_path / "new.blob"
    new.write_bytes(b"content")
    writer.storage.storeBlob(p64(8), z64, b"cZODB.blob\nBlob\n.N.", str(new), "", transaction)
    writer.storage.tpc_vote(transaction)
    assert writer.path.stat().st_size > size
    for remove in (False, True):
        if remove:
            writer.path.with_name("Data.fs.index").unlink()
        made = clone(writer.path, tmp_path / f"clone {remove}", blob_dir=writer.blob_dir)
        assert made.size_bytes == size
        assert made.blob_dir is not None
        assert not blobs_in(made.blob_dir)
        must_be_whole(made)
    writer.storage.tpc_abort(transaction)
    writer.close()


@contextmanager
def committing(path: Path, blob_dir: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """Let another process commit to PATH; it has begun when this is entered."""
    program = Path(__file__).with_name("committer.py")
    environment = {**os.environ, "PYTHONPATH": str(program.parent)}
    process = subprocess.Popen(
        [sys.executable, str(program), str(path), str(blob_dir), *more],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert process.stdout is not None
        for _ in range(20):
            assert process.stdout.readline(), "it commits"
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_ten_clones_of_a_storage_that_is_committed_to(tmp_path: Path) -> None:
    path, blob_dir = tmp_path / "Data.fs", tmp_path / "blobs"
    made = []
    with committing(path, blob_dir) as process:
        assert process.stdout is not None
        for number in range(10):
            for _ in range(9):
                assert process.stdout.readline(), "it goes on"  # it waits for a reader
            made.append(clone(path, tmp_path / str(number), blob_dir=blob_dir))
    whole = path.read_bytes()
    sizes = [each.size_bytes for each in made]
    assert sizes == sorted(set(sizes)), "each is a later moment"
    for each in made:
        assert each.data_fs.read_bytes() == whole[: each.size_bytes]
        must_be_whole(each)
        the_rest_is_gone(each.data_fs.parent)
    assert made[-1].blobs_linked > 5


def test_clones_of_a_storage_that_is_packed_again_and_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, blob_dir = tmp_path / "Data.fs", tmp_path / "blobs"
    is_same, replaced = clone_module.is_same_file, 0

    def counted(source: Source) -> bool:
        nonlocal replaced
        replaced += not is_same(source)
        return is_same(source)

    monkeypatch.setattr(clone_module, "is_same_file", counted)
    with committing(path, blob_dir, "pack") as process:
        drain = threading.Thread(target=lambda: list(process.stdout or ()))
        drain.start()
        number, enough = 0, time.monotonic() + 60
        while replaced < 3 and time.monotonic() < enough:
            must_be_whole(clone(path, tmp_path / str(number), blob_dir=blob_dir))
            assert process.poll() is None, "it goes on"
            number += 1
    drain.join()
    assert replaced >= 3, "no pack came in between: this proves nothing"


class Packing:
    """Packs a storage when a clone says that it is in a certain PHASE."""

    def __init__(self, storage: Any, phase: str, *, times: int = 1) -> None:
        self.storage, self.phase, self.times = storage, phase, times
        self.serial = z64

    def __call__(self, phase: str, done: int, of: int) -> None:
        if phase == self.phase and self.times:
            self.times -= 1
            self._commit()
            self._commit()  # so that there is something to pack
            self.storage.pack(time.time() + 1, lambda data: [], gc=False)

    def _commit(self) -> None:
        transaction = TransactionMetaData()
        self.storage.tpc_begin(transaction)
        self.storage.store(p64(5000), self.serial, b"cA\nB\n.N.", "", transaction)
        self.storage.tpc_vote(transaction)
        self.serial = self.storage.tpc_finish(transaction)


@pytest.mark.parametrize("phase", ["index", "copy", "blobs", "flush"])
def test_a_pack_meanwhile_makes_it_begin_again(tmp_path: Path, phase: str) -> None:
    writer = Writer(tmp_path / "Data.fs", packer=stock)
    for number in range(4):
        writer.commit(Store(number=number), StoreBlob(number=5))
    index = writer.path.with_name("Data.fs.index")
    index.unlink(missing_ok=True)
    inode = writer.path.stat().st_ino
    packing = Packing(writer.storage, phase)

    made = clone(writer.path, tmp_path / "clone", blob_dir=writer.blob_dir, progress=packing)

    assert writer.path.stat().st_ino != inode
    assert made.data_fs.read_bytes() == writer.path.read_bytes()
    assert made.blob_dir is not None
    assert blobs_in(made.blob_dir) == blobs_in(writer.blob_dir)
    must_be_whole(made)
    the_rest_is_gone(tmp_path / "clone")
    writer.close()


def test_packs_without_end_are_not_waited_for(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "Data.fs", packer=stock)
    writer.commit(Store(number=0))
    packing = Packing(writer.storage, "copy", times=99)
    with pytest.raises(StorageUnreadable, match="another file was put in its place 5 times"):
        clone(writer.path, tmp_path / "clone", progress=packing)
    assert not (tmp_path / "clone").exists()
    writer.close()


def test_a_blob_that_goes_while_it_is_taken_does_no_harm(written: Writer, tmp_path: Path) -> None:
    """A pack of before the clone may still be removing some: no record names them."""
    victim = sorted(blobs_in(written.blob_dir))[-1]
    beside = (written.blob_dir / victim).parent
    doomed = [beside / f"0x{number:016x}.blob" for number in range(1, 400)]
    for path in doomed:
        path.write_bytes(b"?")

    def remove(phase: str, done: int, of: int) -> None:
        for path in doomed:
            path.unlink(missing_ok=True)

    made = clone(written.path, tmp_path / "clone", blob_dir=written.blob_dir, progress=remove)
    must_be_whole(made)


def test_of_a_zeo_server_the_last_blob_does_not_make_the_clone_slow(
    short_directory: Path,
) -> None:
    with zeo_server(short_directory) as server:
        for number in range(3):
            with server.root() as root:
                root[number] = number
        with server.root() as root:
            root["blob"] = blob(b"content")
        made = clone(server.data_fs, short_directory / "clone", blob_dir=server.blob_dir)
        with server.root() as root:
            root["later"] = blob(b"later")
        storage = FileStorage(str(made.data_fs), blob_dir=str(made.blob_dir))
        assert storage._used_index == 1
        storage.close()
        assert len(blobs_in(short_directory / "clone" / "blobs")) == 1
        made = clone(server.data_fs, short_directory / "second", blob_dir=server.blob_dir)
        must_be_whole(made)


# Where it may go


def test_an_empty_directory_keeps_its_owner_and_mode(written: Writer, tmp_path: Path) -> None:
    directory = tmp_path / "clone"
    directory.mkdir(mode=0o750)
    before = directory.stat()
    clone(written.path, directory)
    assert directory.stat().st_ino == before.st_ino
    assert directory.stat().st_mode == before.st_mode


def test_nothing_is_overwritten(written: Writer, tmp_path: Path) -> None:
    directory = tmp_path / "clone"
    directory.mkdir()
    (directory / "kept").write_text("kept")
    file = tmp_path / "file"
    file.write_text("kept")
    for target, said in (
        (directory, "is not empty: there is kept"),
        (tmp_path, "is not empty"),
        (file, "a directory is needed here"),
        (written.blob_dir, "is not empty"),
    ):
        with pytest.raises(ApplyRefused, match=said):
            clone(written.path, target, blob_dir=written.blob_dir)
    assert [each.name for each in directory.iterdir()] == ["kept"]
    assert file.read_text() == "kept"
    the_rest_is_gone(tmp_path)


def test_a_second_clone_into_the_same_directory_is_refused(written: Writer, tmp_path: Path) -> None:
    directory = tmp_path / "clone"
    refused = []

    def again(phase: str, done: int, of: int) -> None:
        if not refused:
            with pytest.raises(Locked, match="another clone is being made here") as caught:
                clone(written.path, directory)
            refused.append(caught)

    must_be_whole(clone(written.path, directory, progress=again))
    assert refused
    with pytest.raises(ApplyRefused, match=r"is not empty: there is Data.fs and 1 more"):
        clone(written.path, directory)


def test_a_directory_that_cannot_be_made_is_named(written: Writer, tmp_path: Path) -> None:
    target = tmp_path / "missing" / "clone"
    with pytest.raises(StorageUnwritable, match="cannot be made: No such file") as caught:
        clone(written.path, target)
    assert str(target) in str(caught.value)


def test_what_another_user_or_a_link_put_there_is_not_used(written: Writer, tmp_path: Path) -> None:
    directory, victim = tmp_path / "clone", tmp_path / "victim"
    for path in (directory, victim):
        path.mkdir()
    (victim / "kept").write_text("kept")
    (directory / PART).symlink_to(victim)
    with pytest.raises(ApplyRefused, match="another user's, or a link"):
        clone(written.path, directory)
    assert (victim / "kept").read_text() == "kept"


# Killed, and without space


def test_killed_at_any_call_it_leaves_no_half_clone(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "Data.fs")
    writer.commit(Store(number=0))
    writer.commit(StoreBlob(number=5))
    writer.close()
    directory = tmp_path / "clone"
    number, wholes = 0, 0
    while killed_at(number, lambda: clone(writer.path, directory, blob_dir=writer.blob_dir)):
        number += 1
        if (directory / "Data.fs").exists():
            wholes += 1
            assert (directory / "Data.fs").read_bytes() == writer.path.read_bytes()
            assert blobs_in(directory / "blobs") == blobs_in(writer.blob_dir)
            assert (directory / "Data.fs.index").exists()
            with pytest.raises(ApplyRefused, match="is not empty"):
                clone(writer.path, directory, blob_dir=writer.blob_dir)
            the_rest_is_gone(directory)
            subprocess.run(["rm", "-r", str(directory)], check=True)
        elif number % 2:
            made = clone(writer.path, directory, blob_dir=writer.blob_dir)
            must_be_whole(made)
            the_rest_is_gone(directory)
            subprocess.run(["rm", "-r", str(directory)], check=True)
        # else the next one finds what two that were killed have left
    assert number > 20
    assert wholes >= 2
    assert (directory / "Data.fs").read_bytes() == writer.path.read_bytes()


CLONE = """
import signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from zmount.errors import ZMountError
from zmount.filestorage.clone import clone
try: clone(sys.argv[1], sys.argv[2], blob_dir=sys.argv[3])
except ZMountError as why: print(type(why).__name__, why)
"""


def limited(size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_a_disk_that_is_full_meanwhile_leaves_nothing(written: Writer, tmp_path: Path) -> None:
    directory = tmp_path / "clone"
    for size in (0, 100, written.path.stat().st_size - 1):
        done = subprocess.run(
            [sys.executable, "-c", CLONE, *map(str, (written.path, directory, written.blob_dir))],
            capture_output=True,
            text=True,
            preexec_fn=limited(size),
        )
        assert done.stdout.startswith(f"StorageUnwritable {directory}"), done.stderr
        assert "File too large" in done.stdout
        assert not directory.exists()


def test_a_need_for_space_is_known_before(tmp_path: Path) -> None:
    """A file that is one hole of 8 TB: FileStorage takes it for an object."""
    path = tmp_path / "Data.fs"
    size = 8 << 40
    length = 23 + 42 + size
    record = Record(oid=0, data=b"x", length=size).at(4, 1)[:-1]
    with path.open("wb") as file:
        file.write(b"FS30" + Transaction(tid=1, length=length).at(4)[:23] + record)
        file.seek(4 + length)
        file.write(length.to_bytes(8, "big"))
    with pytest.raises(StorageUnwritable, match="needs 8,933,533 MB") as caught:
        clone(path, tmp_path / "clone")
    assert "MB are free" in str(caught.value)
    assert not (tmp_path / "clone").exists()


def test_an_interrupted_clone_leaves_nothing(written: Writer, tmp_path: Path) -> None:
    def interrupt(phase: str, done: int, of: int) -> None:
        if phase == "copy":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clone(written.path, tmp_path / "clone", progress=interrupt)
    assert not (tmp_path / "clone").exists()


def test_a_signal_ends_it_in_time(tmp_path: Path) -> None:
    path = tmp_path / "Data.fs"
    path.write_bytes(commits(*((number,) for number in range(200))))
    command = [sys.executable, "-c", CLONE, str(path), str(tmp_path / "clone"), str(tmp_path)]
    with subprocess.Popen(command) as process:
        time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)
    clone_again = tmp_path / "clone"
    if not (clone_again / "Data.fs").exists():
        must_be_whole(clone(path, clone_again))


# Whatever the file is


def test_what_is_no_storage_is_not_cloned(tmp_path: Path) -> None:
    text, empty = tmp_path / "text", tmp_path / "empty"
    text.write_text("text")
    empty.touch()
    for path in (text, empty, tmp_path, tmp_path / "missing"):
        with pytest.raises(StorageUnreadable) as caught:
            clone(path, tmp_path / "clone")
        assert str(path) in str(caught.value)
        assert not (tmp_path / "clone").exists()


def test_a_torn_end_that_looks_whole_is_not_cloned(tmp_path: Path) -> None:
    path = tmp_path / "Data.fs"
    whole = commits((1, 2), (3,))
    inner = commits(*((number,) for number in range(20, 29)))[4:]
    torn = Transaction(tid=4, records=(Record(oid=9, data=inner + b"rest"),)).at(len(whole))
    path.write_bytes(whole + torn[: torn.index(inner) + len(inner)])
    with pytest.raises(CorruptFile) as caught:
        clone(path, tmp_path / "clone")
    assert caught.value.offset == len(whole)


@given(
    flips=st.lists(st.tuples(st.integers(0, 2**12), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 2**12),
)
@settings(
    deadline=None,
    max_examples=examples(150),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_damaged_file_is_cloned_up_to_a_boundary_or_refused_in_words(
    flips: list[tuple[int, int]], cut: int
) -> None:
    sound = commits(*((number, 9) for number in range(6)))
    content = bytearray(sound)
    for at, value in flips:
        content[at % len(content)] = value
    with TemporaryDirectory(dir=fast_directory(Path()), prefix="zm-") as directory:
        path = Path(directory, "Data.fs")
        path.write_bytes(bytes(content[: cut % (len(content) + 1)]))
        try:
            made = clone(path, Path(directory, "clone"))
        except ZMountError as why:
            assert str(path) in str(why)
            assert not Path(directory, "clone").exists()
        else:
            assert made.data_fs.read_bytes() == path.read_bytes()[: made.size_bytes]
            must_be_whole(made)
