"""kill -9 at every call into the operating system of a swap and of an undo."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import transaction
from crashing import EVENTS, FINISHED, run_in_child
from persistent.mapping import PersistentMapping
from stages import Stages, fill
from ZODB.blob import Blob
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage
from ZODB.POSException import ReadConflictError
from ZODB.serialize import referencesf
from ZODB.utils import p64, u64, z64

from zmount.filestorage.packer import pack
from zmount.server.generation import GONE, NEW
from zmount.server.stage import StageStorage

MORE_EVENTS = {"os.link", "os.symlink", "subprocess.Popen", "shutil.rmtree"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
ALSO_SWAP = 7  # after so many of the kills it is tried whether the next swap works


@pytest.fixture
def stages() -> Iterator[Stages]:
    """In memory, where flushing costs nothing."""
    directory = Path(tempfile.mkdtemp(prefix="zm-", dir="/dev/shm"))
    yield Stages(directory)
    shutil.rmtree(directory)


def killed_at(number: int, function: Callable[[], object], directory: Path) -> bool:
    """Run FUNCTION in a child that is killed before its NUMBER-th call that changes DIRECTORY.

    Return False if it came to its end before that.
    """

    def dying() -> None:
        calls = 0

        def count(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal calls
            if event not in EVENTS | MORE_EVENTS:
                return
            if event == "open" and not (arguments[2] or 0) & WRITING:
                return
            if not any(str(directory) in str(each) for each in arguments):
                return
            if calls == number:
                os.kill(os.getpid(), signal.SIGKILL)
            calls += 1

        real_fsync = os.fsync

        def fsync(descriptor: int) -> None:
            count("os.truncate", (directory,))
            real_fsync(descriptor)

        os.fsync = fsync  # it is not reported, and a crash before it is worth trying
        sys.addaudithook(count)
        function()

    status = run_in_child(dying)
    assert status in (FINISHED, -signal.SIGKILL), f"the child ended with {status}"
    return status == -signal.SIGKILL


@contextmanager
def stage(stages: Stages, **more: Any) -> Iterator[StageStorage]:
    storage = StageStorage(stages.settings(**more))
    try:
        yield storage
    finally:
        storage.close()


def content(stages: Stages, **more: Any) -> tuple[dict[str, str], dict[str, bytes]]:
    """Return the values and blobs that the stage shows."""
    database = DB(StageStorage(stages.settings(**more)))
    manager = transaction.TransactionManager()
    try:
        root = database.open(manager).root()
        values = {name: each["value"] for name, each in root["tree"].items()}
        blobs = {}
        for name, blob in root["blobs"].items():
            with blob.open() as file:
                blobs[name] = file.read()
        manager.abort()
        return values, blobs
    finally:
        database.close()


def write(database: DB, value: str) -> None:
    with database.transaction() as connection:
        root = connection.root()
        root["tree"]["a"]["value"] = value
        root["tree"][value] = PersistentMapping(value=value)
        root["blobs"][value] = Blob(value.encode())
        with root["blobs"]["one"].open("w") as file:
            file.write(value.encode())


def write_pub(stages: Stages, value: str, *, pack_it: bool = False) -> None:
    path = stages.directory / "pub" / "Data.fs"
    storage = FileStorage(
        str(path), blob_dir=str(path.parent / "blobs"), packer=pack, pack_keep_old=False
    )
    database = DB(storage)
    write(database, value)
    if pack_it:
        storage.pack(time.time(), referencesf)
    database.close()


def write_stage(stages: Stages, value: str) -> None:
    database = DB(StageStorage(stages.settings()))
    write(database, value)
    database.close()


def first_swap(stages: Stages) -> Callable[[], None]:
    write_stage(stages, "stage")
    write_pub(stages, "later")

    def swap() -> None:
        with stage(stages) as storage:
            storage.swap()

    return swap


def second_swap(stages: Stages) -> Callable[[], None]:
    """The generation before is removed, and a blob that production has dropped."""
    first_swap(stages)()
    write_stage(stages, "stage 2")
    write_pub(stages, "latest", pack_it=True)

    def swap() -> None:
        with stage(stages, keep=0) as storage:
            storage.swap()

    return swap


def copying_swap(stages: Stages) -> Callable[[], None]:
    write_stage(stages, "stage")
    write_pub(stages, "later")

    def swap() -> None:
        with stage(stages, mode="copy") as storage:
            storage.swap()

    return swap


def undo_to_plain(stages: Stages) -> Callable[[], None]:
    first_swap(stages)()
    write_stage(stages, "stage 2")

    def undo() -> None:
        with stage(stages) as storage:
            storage.undo_swap()

    return undo


def undo_to_generation(stages: Stages) -> Callable[[], None]:
    first_swap(stages)()
    write_stage(stages, "stage 2")
    write_pub(stages, "latest")
    with stage(stages) as storage:
        storage.swap()
    write_stage(stages, "stage 3")

    def undo() -> None:
        with stage(stages) as storage:
            storage.undo_swap()

    return undo


CASES = [first_swap, second_swap, copying_swap, undo_to_plain, undo_to_generation]


@pytest.mark.parametrize("prepare", CASES)
def test_a_kill_leaves_the_old_or_the_new_and_the_next_swap_works(prepare: Any, stages: Stages):
    stages.fill(blobs={"one": b"pub", "kept": b"kept"})
    act = prepare(stages)
    scene = stages.directory
    saved = scene.with_name(f"{scene.name}-saved")
    shutil.copytree(scene, saved, symlinks=True)
    try:
        with stage(stages) as storage:
            seen = storage.lastTransaction()  # by clients
        old = content(stages)
        act()
        new = content(stages)
        assert old != new
        found: list[str] = []
        restore(saved, scene)
        while killed_at(len(found), act, scene):
            found.append(check(stages, old, new, seen, swap_too=len(found) % ALSO_SWAP == 0))
            restore(saved, scene)
        assert set(found) == {"old", "new"}, found
        assert found == sorted(found, reverse=True), "new, and then old again"
        assert len(found) > 10
    finally:
        shutil.rmtree(saved)


def restore(saved: Path, scene: Path) -> None:
    for path in list(scene.iterdir()):
        shutil.rmtree(path)
    shutil.copytree(saved, scene, symlinks=True, dirs_exist_ok=True)


def check(stages: Stages, old: Any, new: Any, seen: bytes, *, swap_too: bool) -> str:
    """Check what the next process finds; return which of both it was."""
    with stage(stages) as storage:
        generation, floor = storage.generation, storage.floor
        assert storage.lastTransaction() >= max(floor, seen)
        if generation is not None:
            base = storage._content.base
            assert generation.meta.floor == floor.hex()
            assert dict(base._index.items()) == scanned(base)
        names = [path.name for path in storage.generations.path.iterdir()]
        assert [name for name in names if name.endswith((NEW, GONE))] == []
        assert all(one.was_served for one in storage.generations.all())
        if floor != z64:
            with pytest.raises(ReadConflictError):
                storage.loadBefore(z64, floor)
    shown = content(stages)
    assert shown in (old, new), "a mix"
    which = "old" if shown == old else "new"
    if which == "new":
        assert floor > seen
    if swap_too:
        with stage(stages) as storage:
            storage.swap()
            assert storage.lastTransaction() > max(seen, floor)
            assert len(list(storage.generations.path.glob("gen-*"))) <= 2
        values, blobs = content(stages)
        assert "stage" not in values and blobs["kept"] == b"kept"
    return which


def scanned(base: Any) -> dict[bytes, int]:
    """Return what a scan of the base finds, without its index."""
    link = Path(f"{base._file_name}-scanned")
    link.hardlink_to(base._file_name)
    try:
        again = FileStorage(str(link), read_only=True, stop=p64(u64(base.lastTransaction()) + 1))
        assert not again._used_index
        found = dict(again._index.items())
        again.close()
        return found
    finally:
        link.unlink()


def test_the_content_of_fill_is_what_it_says(stages: Stages):
    fill(stages.directory / "stage" / "Data.fs", {"a": "x"}, {"one": b"y"})
    assert content(stages) == ({"a": "x"}, {"one": b"y"})
