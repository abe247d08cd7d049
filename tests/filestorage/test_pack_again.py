"""What a second pack finds to do: it depends on what the first one was for."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ZODB
from persistent.mapping import PersistentMapping
from ZODB.FileStorage import FileStorage
from ZODB.POSException import POSKeyError
from ZODB.serialize import referencesf
from ZODB.utils import load_current

from zmount.filestorage.packer import pack
from zmount.filestorage.preview import preview

NOW = 2**64 - 1


@pytest.fixture
def data_fs(tmp_path: Path) -> Path:
    return tmp_path / "Data.fs"


@pytest.fixture
def storage(data_fs: Path) -> Iterator[FileStorage]:
    opened = FileStorage(str(data_fs), packer=pack)
    yield opened
    opened.close()


@pytest.fixture
def garbage(storage: FileStorage) -> bytes:
    """The oid of an object that nothing leads to any more."""
    db = ZODB.DB(storage)
    with db.transaction() as connection:
        connection.root()["a"] = PersistentMapping()
        connection.root()["b"] = PersistentMapping()
    with db.transaction() as connection:
        oid: bytes = connection.root()["a"]._p_oid
        del connection.root()["a"]
    return oid


def report(data_fs: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(data_fs.with_name("Data.fs.pack-report").read_text())
    return found


def test_garbage_goes_after_a_pack_of_the_history_only(
    storage: FileStorage, data_fs: Path, garbage: bytes
) -> None:
    storage.pack(time.time(), referencesf, gc=False)
    assert load_current(storage, garbage)
    said = preview(data_fs, NOW)

    storage.pack(time.time(), referencesf)

    with pytest.raises(POSKeyError):
        load_current(storage, garbage)
    assert report(data_fs)["result"] == said["result"] == "packed"
    assert report(data_fs)["objects_dropped"] == said["objects_dropped"] == 1


@pytest.mark.parametrize("gc", [True, False])
@pytest.mark.parametrize("again", [True, False])
def test_a_pack_has_nothing_to_do_after_one_that_did_as_much(
    storage: FileStorage, data_fs: Path, garbage: bytes, gc: bool, again: bool
) -> None:
    storage.pack(time.time(), referencesf, gc=gc)
    packed = data_fs.read_bytes()

    storage.pack(time.time(), referencesf, gc=again and gc)

    assert data_fs.read_bytes() == packed
    assert report(data_fs)["result"] == "nothing to free"


def test_a_pack_to_an_earlier_time_than_the_last_one_changes_nothing(
    storage: FileStorage, data_fs: Path, garbage: bytes
) -> None:
    # what was reachable then can no longer be found out
    storage.pack(time.time(), referencesf, gc=False)
    packed = data_fs.read_bytes()

    storage.pack(time.time() - 3600, referencesf)

    assert data_fs.read_bytes() == packed
