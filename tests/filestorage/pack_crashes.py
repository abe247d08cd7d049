"""A database to be packed by a process that something happens to, and what must be true then."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import transaction
import ZODB
from histories import wait_until
from pack_rule import blobs_of, broken_promises, index_of, promised, read
from persistent.mapping import PersistentMapping
from ZODB.blob import Blob
from ZODB.FileStorage import FileStorage
from ZODB.fsIndex import fsIndex
from ZODB.scripts import fstest
from ZODB.serialize import referencesf
from ZODB.TimeStamp import TimeStamp

HERE = Path(__file__).parent
VICTIM = HERE / "pack_victim.py"
# beside these a pack leaves nothing
USUAL = {"Data.fs" + end for end in ("", ".index", ".lock", ".tmp", ".old", ".pack-report")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """A storage as it is before: DIRECTORY, the time to pack to, and what it owes from then.

    ``last_s`` are the seconds by which the last transaction is later than the one before.
    """

    directory: Path
    pack_time: float
    last_s: float
    owed: dict[tuple[bytes, bytes], bytes | None]
    garbage_blobs: frozenset[str]


def make_base(directory: Path, objects: int = 40) -> Base:
    """Write a storage that has garbage, old revisions, blobs of both kinds, and a future."""
    path = directory / "Data.fs"
    db = ZODB.DB(FileStorage(str(path), blob_dir=str(directory / "blobs")))
    with db.transaction() as connection:
        root = connection.root()
        for number in range(objects):
            root[number] = PersistentMapping(text=os.urandom(1500), number=number)
        root["live"] = PersistentMapping()
        for number in range(4):
            root["live"][f"blob {number}"] = Blob(b"first")
    for number in range(objects // 2):
        with db.transaction() as connection:
            connection.root()[number]["text"] = os.urandom(1500)
    with db.transaction() as connection:
        for number in range(0, objects, 3):
            del connection.root()[number]
        with connection.root()["live"]["blob 1"].open("w") as file:
            file.write(b"second")
        del connection.root()["live"]["blob 2"]
    db.close()
    file = read(path)
    before_last, last = (each.tid for each in file.transactions[-2:])
    return Base(
        directory=directory,
        pack_time=TimeStamp(last).timeTime() + 0.00001,
        last_s=TimeStamp(last).timeTime() - TimeStamp(before_last).timeTime(),
        owed=promised(file, last, gc=True),
        garbage_blobs=_garbage_blobs(path, last),
    )


def _garbage_blobs(path: Path, stop: bytes) -> frozenset[str]:
    copy = path.with_name("copy")
    copy.mkdir()
    shutil.copy(path, copy / "Data.fs")
    shutil.copytree(path.with_name("blobs"), copy / "blobs")
    before = _blob_names(copy / "blobs")
    storage = FileStorage(str(copy / "Data.fs"), blob_dir=str(copy / "blobs"))
    storage.pack(TimeStamp(stop).timeTime() + 0.00001, referencesf)
    storage.close()
    gone = frozenset(before - _blob_names(copy / "blobs"))
    shutil.rmtree(copy)
    assert len(gone) == 2
    return gone


def _blob_names(blob_dir: Path) -> set[str]:
    return {str(path.relative_to(blob_dir)) for path in blob_dir.rglob("*.blob")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A copy of the base in DIRECTORY, and a process that packs it."""

    base: Base
    directory: Path
    beside: Path  # for what must not be on the same disk

    @property
    def data_fs(self) -> Path:
        return self.directory / "Data.fs"

    @property
    def blob_dir(self) -> Path:
        return self.directory / "blobs"

    @property
    def acknowledged(self) -> list[tuple[bytes, int]]:
        """The tid and the number of each transaction that was committed, as far as is known."""
        text = (self.beside / "acknowledged").read_text()
        lines = (line.split() for line in text.splitlines())
        return [(bytes.fromhex(tid), int(number)) for tid, number in lines]

    @property
    def point(self) -> str:
        """The call at which it happened; empty if it did not come to it."""
        log = self.beside / "fault"
        return log.read_text().strip() if log.exists() else ""

    @contextmanager
    def victim(self, fault: str = "", *, keep_old: bool = True) -> Iterator[subprocess.Popen[str]]:
        """Start the process, with a FAULT as sitecustomize.py reads it."""
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(HERE / "faults"), *sys.path[1:])),
            "ZMOUNT_TEST_FAULT_IN": str(self.directory),
            "ZMOUNT_TEST_FAULT_LOG": str(self.beside / "fault"),
        }
        if fault:
            environment["ZMOUNT_TEST_FAULT"] = fault
        process = subprocess.Popen(
            [
                sys.executable,
                str(VICTIM),
                str(self.data_fs),
                str(self.blob_dir),
                str(self.beside / "acknowledged"),
                repr(self.base.pack_time),
                str(int(keep_old)),
            ],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def run(self, fault: str, *, keep_old: bool = True) -> tuple[int, str]:
        """Run the process to its end; return its status and what it said."""
        with self.victim(fault, keep_old=keep_old) as process:
            said = process.communicate(timeout=60)[1]
            status = process.returncode
        wait_until(lambda: not children_of(process.pid), "the pack's process is gone", 10)
        return status, said


def set_scene(base: Base, directory: Path, beside: Path) -> Scene:
    """Copy the base into the empty DIRECTORY."""
    shutil.copytree(base.directory, directory, dirs_exist_ok=True)
    beside.mkdir(exist_ok=True)
    return Scene(base=base, directory=directory, beside=beside)


def children_of(pid: int) -> list[int]:
    """Return the processes of packs that the process PID started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue  # it is gone meanwhile
        if b"%d" % pid in words and any(b"pack_child" in word for word in words):
            found.append(int(path.parent.name))
    return found


def must_be_whole(scene: Scene) -> None:
    """Check all that must be true after a crash: of the files as they are, and once opened."""
    index = scene.data_fs.with_name("Data.fs.index")
    if index.exists():
        saved = fsIndex.load(str(index))
        assert dict(saved["index"].items()) == index_of_committed(scene, saved["pos"])
    storage = FileStorage(str(scene.data_fs), blob_dir=str(scene.blob_dir))
    try:
        must_have_everything(scene, storage)
        assert dict(storage._index.items()) == index_of(scene.data_fs)
    finally:
        storage.close()
    fstest.check(str(scene.data_fs))


def index_of_committed(scene: Scene, end: int) -> dict[bytes, int]:
    """Return the index of the file up to END; behind it there may be half a transaction."""
    part = scene.beside / "part"
    with scene.data_fs.open("rb") as file:
        part.write_bytes(file.read(end))
    return index_of(part)


def must_have_everything(scene: Scene, storage: FileStorage) -> None:
    """Check that STORAGE has the base's objects, all that was committed since, and the blobs."""
    assert broken_promises(storage, scene.base.owed) == []
    acknowledged = scene.acknowledged
    tids = [each.tid for each in read(scene.data_fs).transactions]
    assert [tid.hex() for tid, _ in acknowledged if tid not in tids] == []
    must_have_newest(scene, storage)


def must_have_newest(scene: Scene, storage: FileStorage) -> None:
    """Check that STORAGE has what was committed last, and every blob that it needs."""
    where = storage.fshelper.getBlobFilename
    needed = blobs_of(scene.data_fs)
    assert [where(*each) for each in needed if not Path(where(*each)).exists()] == []
    acknowledged = scene.acknowledged
    if acknowledged:
        db = ZODB.DB(storage)
        manager = transaction.TransactionManager()
        live = db.open(transaction_manager=manager).root()["live"]
        assert live["number"] >= acknowledged[-1][1]
        with live["blob"].open() as file:
            assert int(file.read()) == live["number"] // 10
        manager.abort()


def must_pack_and_clean_up(scene: Scene, *, keep_old: bool = True) -> None:
    """Check that a pack to now works, that nothing is left of the last one, and nothing is lost."""
    from zmount.filestorage.packer import pack

    storage = FileStorage(
        str(scene.data_fs), blob_dir=str(scene.blob_dir), packer=pack, pack_keep_old=keep_old
    )
    try:
        file = read(scene.data_fs)
        owed = promised(file, file.transactions[-1].tid, gc=True)
        storage.pack(time.time() + 1, referencesf)
        assert broken_promises(storage, owed) == []
        must_have_newest(scene, storage)
        left = {path.name for path in scene.directory.glob("Data.fs*")} - USUAL
        # FileStorage keeps what a crash left of a transaction
        assert {name for name in left if not name.startswith("Data.fs.tr")} == set()
        assert not (scene.blob_dir / ".removed").exists()
        assert _blob_names(scene.blob_dir) & scene.base.garbage_blobs == set()
    finally:
        storage.close()
