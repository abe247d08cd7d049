"""kill -9 of the storage's process, or of the pack's, at every call that touches a file.

While it packs, another thread commits. Afterwards the files must be whole as
they lie there: stock FileStorage opens them, the index is that of the file, all
that was acknowledged is there with its blobs, nothing of the pack runs on, and
the next pack cleans up. ``faults/sitecustomize.py`` is what kills.
"""

from __future__ import annotations

import logging
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from histories import examples, wait_until
from pack_crashes import (
    Base,
    Scene,
    children_of,
    make_base,
    must_be_whole,
    must_pack_and_clean_up,
    set_scene,
)
from pack_rule import blobs_of
from pack_victim import FAILED
from packers import packer_here
from ZODB.FileStorage import FileStorage
from ZODB.serialize import referencesf

KILLED = -9
# more than there are: a test whose number is too high packs to the end
CALLS_OF_SERVER = 32
CALLS_OF_CHILD = 24
KEEPING_OLD = (9, *range(12, 20), *range(26, 32))  # calls that are others with pack-keep-old


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Base:
    return make_base(tmp_path_factory.mktemp("base"))


@pytest.fixture
def scene(base: Base, tmp_path: Path) -> Iterator[Scene]:
    logging.disable(logging.ERROR)
    yield set_scene(base, tmp_path / "storage", tmp_path / "beside")
    logging.disable(logging.NOTSET)
    shutil.rmtree(tmp_path / "storage")  # there are many of them


@pytest.mark.parametrize("number", range(CALLS_OF_SERVER))
def test_the_server_may_be_killed_at_any_call(scene: Scene, number: int) -> None:
    status, said = scene.run(f"server {number} kill", keep_old=False)

    assert status == (KILLED if scene.point else 0), said
    must_be_whole(scene)
    must_pack_and_clean_up(scene, keep_old=False)


@pytest.mark.parametrize("number", KEEPING_OLD)
def test_the_server_may_be_killed_where_it_keeps_old_files(scene: Scene, number: int) -> None:
    status, said = scene.run(f"server {number} kill", keep_old=True)

    assert status == (KILLED if scene.point else 0), said
    must_be_whole(scene)
    must_pack_and_clean_up(scene, keep_old=True)


@pytest.mark.parametrize("number", range(CALLS_OF_CHILD))
def test_the_server_may_be_killed_at_any_call_of_the_packs_process(
    scene: Scene, number: int
) -> None:
    status, said = scene.run(f"child {number} kill-server")

    assert status == (KILLED if scene.point else 0), said
    must_be_whole(scene)
    must_pack_and_clean_up(scene)


@pytest.mark.parametrize("number", range(0, CALLS_OF_CHILD, 2))
def test_the_packs_process_may_be_killed_and_the_storage_goes_on(scene: Scene, number: int) -> None:
    status, said = scene.run(f"child {number} kill")

    if scene.point:
        assert status == FAILED
        assert "FileStorageError: nothing was packed: its process ended, killed by signal 9" in said
        left = [path.name for path in scene.directory.glob("Data.fs.pack*")]
        assert left == ["Data.fs.pack-report"]
    else:
        assert status == 0, said
    must_be_whole(scene)
    must_pack_and_clean_up(scene)


def test_there_are_no_more_calls_than_these(scene: Scene) -> None:
    # or the tests above would leave some out
    status, said = scene.run(f"server {CALLS_OF_SERVER} kill", keep_old=False)
    assert (status, scene.point) == (0, ""), said


def test_what_the_packs_process_does_after_these_calls_is_only_to_catch_up(scene: Scene) -> None:
    scene.run(f"child {CALLS_OF_CHILD} kill")
    assert scene.point.removeprefix("child ") in (
        "",
        "open Data.fs",
        "mmap.__new__ .",
        "open Data.fs.pack-progress.tmp",
        "os.rename Data.fs.pack-progress.tmp",
        "fsync Data.fs.pack",
    )


def test_a_pack_by_stock_after_a_crash_is_not_taken_for_the_interrupted_one(scene: Scene) -> None:
    # stock writes into the .pack that lies there, and so the Data.fs gets the noted inode
    scene.run("server 10 kill", keep_old=False)
    assert scene.point == "server os.rename Data.fs.pack"
    storage = FileStorage(str(scene.data_fs), blob_dir=str(scene.blob_dir), pack_keep_old=False)
    storage.pack(scene.base.pack_time - scene.base.last_s, referencesf)  # it keeps more
    storage.close()
    needed = blobs_of(scene.data_fs)

    storage = FileStorage(str(scene.data_fs), blob_dir=str(scene.blob_dir), packer=packer_here)
    storage.pack(scene.base.pack_time - 2 * scene.base.last_s, referencesf)

    where = storage.fshelper.getBlobFilename
    storage.close()
    assert blobs_of(scene.data_fs) == needed
    assert [where(*each) for each in needed if not Path(where(*each)).exists()] == []


@pytest.mark.parametrize("number", range(examples(8)))
def test_the_server_may_be_killed_at_any_moment(scene: Scene, number: int) -> None:
    moment_s = random.Random(number).uniform(0.05, 0.5)
    with scene.victim() as process:
        wait_until((scene.beside / "acknowledged").exists, "the first commit")
        time.sleep(moment_s)
        process.kill()
        process.wait()
        wait_until(lambda: not children_of(process.pid), "the pack's process is gone", 10)

    must_be_whole(scene)
    must_pack_and_clean_up(scene)
