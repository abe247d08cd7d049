"""The lock that FileStorage holds is ours, too."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fs_bytes import commits
from zc.lockfile import LockError
from ZODB.FileStorage import FileStorage

from zmount.errors import Locked, StorageUnwritable
from zmount.filestorage.storage_lock import storage_locked


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "Data.fs"
    path.write_bytes(commits((0,)))
    return path


def test_no_file_storage_opens_what_is_locked(path: Path) -> None:
    with storage_locked(path):
        with pytest.raises(LockError):
            FileStorage(str(path))
        FileStorage(str(path), read_only=True).close()
    FileStorage(str(path)).close()


def test_what_a_file_storage_has_open_is_refused_with_its_pid(path: Path) -> None:
    storage = FileStorage(str(path))
    with pytest.raises(Locked, match=f"process {os.getpid()} has it open"), storage_locked(path):
        pass
    storage.close()
    with storage_locked(path):
        assert Path(f"{path}.lock").read_text() == f" {os.getpid()}\n"


def test_a_lock_file_that_a_dead_process_left_does_not_count(path: Path) -> None:
    Path(f"{path}.lock").write_text(" 99999999999\n")
    with storage_locked(path):
        pass


def test_a_new_lock_file_belongs_to_the_owner_of_the_data_file(path: Path) -> None:
    if os.geteuid() == 0:
        os.chown(path, 1234, 1235)
    path.chmod(0o640)
    with storage_locked(path):
        found, data = Path(f"{path}.lock").stat(), path.stat()
    assert (found.st_uid, found.st_gid, found.st_mode) == (data.st_uid, data.st_gid, data.st_mode)


def test_what_is_not_there_gets_no_lock_file(tmp_path: Path) -> None:
    with pytest.raises(StorageUnwritable, match="No such file"), storage_locked(tmp_path / "x"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_link_in_its_place_is_not_followed(path: Path, tmp_path: Path) -> None:
    Path(f"{path}.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(StorageUnwritable), storage_locked(path):
        pass
    assert not (tmp_path / "victim").exists()
