"""What opens a storage in order to pack it."""

from __future__ import annotations

from pathlib import Path

import pytest
from topologies import topology_of
from ZODB.config import storageFromString

from zmount.render.pack_conf import pack_conf
from zmount.topology.storages import Storage

PLAIN = "pack-keep-old off\ncreate on"
ZLIB = (
    "<zlibstorage>\n<filestorage>\npath {}\ncreate on\npack-keep-old off\n"
    "packer zmount.filestorage.packer.pack\n</filestorage>\n</zlibstorage>"
)


def storage(directory: Path, said: str) -> Storage:
    text = f"%import zc.zlibstorage\n<zeo zeo/>\n<storage s>\n{said}\n</storage>\n"
    return topology_of(directory, text).storage("s")


@pytest.fixture(params=["plain", "compressed"])
def said(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "plain":
        return f"path {tmp_path}/Data.fs\nblob-dir none\n{PLAIN}"
    return ZLIB.format(tmp_path / "Data.fs")


@pytest.mark.parametrize("gc", [True, False])
def test_it_opens_what_the_server_opens(said: str, gc: bool, tmp_path: Path):
    opened = storageFromString(pack_conf(storage(tmp_path, said), gc=gc))

    base = getattr(opened, "base", opened)
    try:
        assert base.getName() == f"{tmp_path}/Data.fs"
        assert base.packer.__module__ == "zmount.filestorage.packer"
        assert base._pack_gc == gc
        assert not base.pack_keep_old
    finally:
        opened.close()


def test_it_never_empties_the_file_where_a_start_of_the_server_would(said: str, tmp_path: Path):
    conf = pack_conf(storage(tmp_path, said), gc=True)

    assert "create" not in conf


def test_what_the_policy_says_of_garbage_holds_without_a_word(tmp_path: Path):
    assert "pack-gc off" in pack_conf(storage(tmp_path, "pack-gc off"), gc=True)
