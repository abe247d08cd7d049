"""What an interrupted pack left, and who comes next is not another pack."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from pack_crashes import (
    USUAL,
    Base,
    Scene,
    make_base,
    must_be_whole,
    must_pack_and_clean_up,
    set_scene,
)
from ZODB.FileStorage import FileStorage

from zmount.errors import Locked, StorageUnwritable
from zmount.filestorage.pack_leftovers import finish_pack

WRITTEN = 19  # a call of the child at which all is written
SWITCHED = range(9, 15)  # calls of the server around the two renames, and before blobs go


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


def left(scene: Scene) -> set[str]:
    names = {path.name for path in scene.directory.glob("Data.fs*")} - USUAL
    return {name for name in names if not name.startswith("Data.fs.tr")}


def test_half_a_new_file_is_removed(scene: Scene) -> None:
    scene.run(f"child {WRITTEN} kill-server")
    assert "Data.fs.pack" in left(scene)
    size = scene.data_fs.with_name("Data.fs.pack").stat().st_size

    said = finish_pack(scene.data_fs)

    assert said == f"what an interrupted pack had written is removed ({size:,} bytes)"
    assert left(scene) == set()
    must_be_whole(scene)
    must_pack_and_clean_up(scene)


@pytest.mark.parametrize("number", SWITCHED)
def test_a_new_file_that_is_in_place_has_its_index_and_the_list_of_blobs_stays(
    scene: Scene, number: int
) -> None:
    scene.run(f"server {number} kill", keep_old=False)
    before = left(scene)
    new_index = scene.data_fs.with_name("Data.fs.pack.index")
    whole = new_index.read_bytes() if new_index.exists() else b""

    said = finish_pack(scene.data_fs)

    if "Data.fs.pack" in before:
        assert left(scene) == set()
    else:
        assert "the next one removes the blobs" in said
        assert left(scene) == {"Data.fs.pack-blobs", "Data.fs.pack-switch"}
        index = scene.data_fs.with_name("Data.fs.index").read_bytes()
        assert index == whole or not whole
    must_be_whole(scene)
    must_pack_and_clean_up(scene, keep_old=False)


def test_what_a_pack_that_runs_has_written_is_left_alone(scene: Scene) -> None:
    storage = FileStorage(str(scene.data_fs), blob_dir=str(scene.blob_dir))
    scene.data_fs.with_name("Data.fs.pack-progress").write_text("{}")
    scene.data_fs.with_name("Data.fs.pack").write_text("half of it")

    with pytest.raises(Locked):
        finish_pack(scene.data_fs)

    assert left(scene) == {"Data.fs.pack", "Data.fs.pack-progress"}
    storage.close()


def test_what_a_stock_pack_left_may_be_all_there_is_and_stays(scene: Scene) -> None:
    new = scene.data_fs.with_name("Data.fs.pack")
    new.write_bytes(scene.data_fs.read_bytes())

    assert finish_pack(scene.data_fs) == ""
    assert new.exists()


def test_leftovers_that_cannot_be_removed_are_named(scene: Scene) -> None:
    progress = scene.data_fs.with_name("Data.fs.pack-progress")
    progress.mkdir()

    with pytest.raises(StorageUnwritable, match=rf"{progress}: Is a directory"):
        finish_pack(scene.data_fs)
