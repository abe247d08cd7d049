"""A database that Plone wrote: packed, and compared with what stock's packer makes of it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pack_rule import broken_promises, packed, promised, read, stock
from packers import packer_here
from persistent.TimeStamp import TimeStamp
from plone import Plone
from ZODB.FileStorage import FileStorage
from ZODB.fsIndex import fsIndex
from ZODB.scripts import fstest
from ZODB.serialize import referencesf


class Copy:
    """A copy of the database, opened with a packer."""

    def __init__(self, plone: Plone, directory: Path, packer: Any) -> None:
        directory.mkdir()
        self.path = Path(shutil.copy(plone.data_fs, directory / "Prod.fs"))
        self.blob_dir = Path(shutil.copytree(plone.blob_dir, directory / "blobs"))
        self.storage = FileStorage(str(self.path), blob_dir=str(self.blob_dir), packer=packer)

    @property
    def content(self) -> tuple[bytes, dict[bytes, int], dict[str, bytes]]:
        blobs = self.blob_dir.rglob("*.blob")
        return (
            self.path.read_bytes(),
            dict(self.storage._index.items()),
            {str(path.relative_to(self.blob_dir)): path.read_bytes() for path in blobs},
        )


@pytest.fixture
def theirs(plone_small: Plone, tmp_path: Path) -> Iterator[Copy]:
    copy = Copy(plone_small, tmp_path / "theirs", stock)
    yield copy
    copy.storage.close()


@pytest.fixture
def ours(plone_small: Plone, tmp_path: Path) -> Iterator[Copy]:
    copy = Copy(plone_small, tmp_path / "ours", packer_here)
    yield copy
    copy.storage.close()


def moment(path: Path, number: int) -> tuple[float, bytes]:
    """Return a time just after the NUMBER-th transaction, and the tid that a pack makes of it."""
    when = TimeStamp(read(path).transactions[number].tid).timeTime() + 0.00001
    return when, TimeStamp(*time.gmtime(when)[:5], when % 60).raw()


@pytest.mark.parametrize("gc", [True, False], ids=["gc", "history only"])
@pytest.mark.parametrize("number", [3, 9, 15])
def test_plones_database_is_packed_as_stock_does_it(
    ours: Copy, theirs: Copy, plone_small: Plone, number: int, gc: bool
) -> None:
    when, stop = moment(plone_small.data_fs, number)
    owed = promised(read(plone_small.data_fs), stop, gc=gc)
    right = packed(plone_small.data_fs, stop, gc=gc)
    assert right is not None

    ours.storage.pack(when, referencesf, gc=gc)

    assert ours.path.read_bytes() == right.text
    assert broken_promises(ours.storage, owed) == []
    theirs.storage.pack(when, referencesf, gc=gc)
    assert broken_promises(theirs.storage, owed) == []  # stock is right about this one
    assert ours.content == theirs.content


def test_plones_blobs_are_there_after_packs_to_later_and_later_times(
    ours: Copy, plone_small: Plone
) -> None:
    blobs = ours.content[2]
    assert len(blobs) == 4

    for number in range(0, 16, 5):
        ours.storage.pack(moment(plone_small.data_fs, number)[0], referencesf)

    assert ours.content[2] == blobs


def test_a_packed_plone_opens_by_its_index_and_is_sound(ours: Copy) -> None:
    ours.storage.pack(moment(ours.path, 15)[0], referencesf)
    size = ours.path.stat().st_size
    ours.storage.close()

    again = FileStorage(str(ours.path), read_only=True)

    assert again._used_index == 1
    assert len(again) == 8785
    assert fsIndex.load(f"{ours.path}.index")["pos"] == size
    again.close()
    fstest.check(str(ours.path))
