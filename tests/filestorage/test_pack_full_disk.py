"""A disk that is full, or cannot be read or written, at any call of a pack.

The pack must say so, everything must be as it was, and the storage must go on
committing as soon as there is room. ``faults/sitecustomize.py`` fills the disk.
"""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from histories import wait_until
from pack_crashes import Base, Scene, make_base, must_be_whole, must_pack_and_clean_up, set_scene
from pack_victim import FAILED
from packers import packer_here
from ZODB.FileStorage import FileStorage
from ZODB.FileStorage.FileStorage import FileStorageError
from ZODB.serialize import referencesf

from zmount.filestorage.pack_process import PackProcess

FAULTS = Path(__file__).parent / "faults"
CALLS_OF_CHILD = (4, 6, 7, 9, 10, 12, 14, 15, 16, 17, 19)  # before something is written


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture
def scene(base: Base, tmp_path: Path) -> Scene:
    return set_scene(base, tmp_path / "storage", tmp_path / "beside")


@pytest.fixture
def small_disk(base: Base, tmp_path: Path) -> Iterator[Scene]:
    """A storage on a file system of its own, of 8 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount; test_a_process_that_may_write_no_more... needs no root")
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", disk], check=True)
    try:
        yield set_scene(base, disk / "storage", tmp_path / "beside")
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def must_be_as_before(scene: Scene, *, may_be_left: frozenset[str] = frozenset()) -> None:
    """Check that nothing is left of the pack, and that the storage works."""
    left = {path.name for path in scene.directory.glob("Data.fs.pack*")}
    assert left <= {"Data.fs.pack-report", *may_be_left}
    must_be_whole(scene)
    must_pack_and_clean_up(scene)


@pytest.mark.parametrize("number", CALLS_OF_CHILD)
def test_a_process_that_may_write_no_more_packs_nothing_and_says_why(
    scene: Scene, number: int
) -> None:
    status, said = scene.run(f"child {number} limit")

    # after the last write nothing is refused
    assert status in (0, FAILED), said
    if status == FAILED:
        assert re.search(
            "FileStorageError: nothing was packed: .*(Data.fs.pack|File too large)", said
        )
    must_be_as_before(scene)


def run_until_there_is_room(scene: Scene, call: str) -> tuple[int, str]:
    """Pack on a disk that is full from CALL on, for a moment; return status and message."""
    filler = scene.directory / "filler"
    with scene.victim(f"{call} fill", keep_old=False) as process:
        wait_until(lambda: filler.exists() or process.poll() is not None, "the disk is full")
        time.sleep(0.3)  # so long it is
        filler.unlink(missing_ok=True)
        said = process.communicate(timeout=60)[1]
    return process.returncode, said


FILLS = [f"child {number}" for number in CALLS_OF_CHILD]
FILLS += [f"server {number}" for number in (3, 4, 5, 7, 8, 11, 13, 14, 15, 18, 21, 23, 25)]


@pytest.mark.parametrize("call", FILLS)
def test_on_a_full_disk_nothing_is_packed_and_commits_go_on_when_there_is_room(
    small_disk: Scene, call: str
) -> None:
    status, said = run_until_there_is_room(small_disk, call)

    assert status in (0, FAILED), said
    # once the new file is in place, the next pack removes the blobs
    is_switched = (small_disk.directory / "Data.fs.pack-switch").exists()
    if status == FAILED:
        assert re.search("No space left on device|needs .* beside this one, .* are free", said)
        what = (
            "Data.fs: it is packed, but not all was done" if is_switched else "nothing was packed"
        )
        assert f"FileStorageError: {what}" in said.replace(f"{small_disk.directory}/", "")
    may_be_left = frozenset({f"Data.fs.pack-{it}" for it in ("switch", "blobs")})
    must_be_as_before(small_disk, may_be_left=may_be_left if is_switched else frozenset())


@pytest.mark.parametrize("number", [13, 14])
def test_what_is_left_when_the_disk_is_full_after_the_switch_is_said(
    small_disk: Scene, number: int
) -> None:
    _, said = run_until_there_is_room(small_disk, f"server {number}")

    assert "blobs/.removed" in small_disk.point or "Data.fs.pack-blobs" in small_disk.point
    assert (
        f"FileStorageError: {small_disk.data_fs}: it is packed, but not all was done: "
        f"{small_disk.blob_dir / '.removed'}: No space left on device; "
        "the next pack does the rest: the blobs that Data.fs.pack-blobs lists\n"
    ) in said
    report = json.loads((small_disk.directory / "Data.fs.pack-report").read_text())
    assert report["result"] == "packed"
    assert not (small_disk.blob_dir / ".removed").exists()
    must_be_as_before(
        small_disk, may_be_left=frozenset({"Data.fs.pack-switch", "Data.fs.pack-blobs"})
    )


@pytest.fixture
def storage(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileStorage]:
    monkeypatch.setenv("PYTHONPATH", str(FAULTS))
    monkeypatch.setenv("ZMOUNT_TEST_FAULT_IN", str(scene.directory))
    monkeypatch.setenv("ZMOUNT_TEST_FAULT_LOG", str(scene.beside / "fault"))
    opened = FileStorage(str(scene.data_fs), blob_dir=str(scene.blob_dir), packer=packer_here)
    yield opened
    opened.close()


@pytest.mark.parametrize("number", [1, 3, 5])  # later all of it has been read
def test_a_file_that_cannot_be_read_to_its_end_is_not_packed(
    scene: Scene, storage: FileStorage, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # it comes as SIGBUS, the file being mapped
    whole = scene.data_fs.read_bytes()
    with monkeypatch.context() as patch:
        patch.setenv("ZMOUNT_TEST_FAULT", f"child {number} cut")

        with pytest.raises(FileStorageError) as raised:
            storage.pack(scene.base.pack_time, referencesf)

    cut = (
        f"it was truncated while it was read, from {len(whole)} bytes or more to {len(whole) // 3}"
    )
    assert str(raised.value) == f"nothing was packed: {scene.data_fs}: {cut}"
    assert scene.data_fs.read_bytes() == whole[: len(whole) // 3]
    scene.data_fs.write_bytes(whole)
    left = {path.name for path in scene.directory.glob("Data.fs.pack*")}
    assert left == {"Data.fs.pack-report"}
    storage.pack(scene.base.pack_time, referencesf)
    assert len(scene.data_fs.read_bytes()) < len(whole)


def test_a_disk_that_fails_under_a_file_is_named_as_the_reason(scene: Scene) -> None:
    child = PackProcess(scene.data_fs, referencesf)
    os.kill(child._process.pid, signal.SIGBUS)  # what the kernel sends then

    with pytest.raises(FileStorageError) as raised:
        child.wait()

    child.end()
    assert str(raised.value) == (
        f"nothing was packed: {scene.data_fs}: a part of it, or of a file in Data.fs.referrers, "
        "cannot be read: the disk failed (the kernel's log says more), or it was truncated"
    )
