"""A storage read with one socket, from a real ZEO server and from what is none."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import ZEO
from persistent.mapping import PersistentMapping
from ZODB import DB
from ZODB.FileStorage import FileStorage
from ZODB.utils import maxtid, p64, z64

from zmount.effects.raw_file import DataFile
from zmount.effects.raw_zeo import ZeoRecords
from zmount.errors import StorageUnreadable
from zmount.topology.addresses import Address
from zmount.topology.load import load
from zmount.topology.storages import Storage

CONF = """
directory /nowhere
venv /nowhere/venv
<zeo zeo>
  address 127.0.0.1:8100
</zeo>
<storage one/>
"""


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """A storage that the server calls "1"."""
    (tmp_path / "zmount.conf").write_text(CONF)
    return replace(load(tmp_path / "zmount.conf").storage("one"), served_as="1")


@contextmanager
def served(path: Path, *, msgpack: bool = False) -> Iterator[Address]:
    """Serve the file PATH with a server in this process."""
    database = DB(FileStorage(str(path)))
    with database.transaction() as connection:
        connection.root()["here"] = PersistentMapping()
    database.close()
    address, stop = ZEO.server(str(path), zeo_conf={"msgpack": msgpack}, threaded=True)
    try:
        yield Address(host="127.0.0.1", port=address[1])
    finally:
        stop()


@pytest.mark.parametrize("msgpack", [False, True])
def test_records_through_a_server_are_those_of_the_file(
    tmp_path: Path, storage: Storage, msgpack: bool
) -> None:
    with served(tmp_path / "Data.fs", msgpack=msgpack) as address:
        records, file = ZeoRecords(storage, address), DataFile(tmp_path / "Data.fs")
        for oid in (z64, p64(1)):
            assert records.loadBefore(oid, maxtid)[:2] == file.loadBefore(oid, maxtid)[:2]
        assert records.loadBefore(p64(99), maxtid) is None
        assert len(records) == len(file) == 2
        records.close()
        file.close()


def test_a_storage_that_the_server_does_not_have_is_told_at_once(
    tmp_path: Path, storage: Storage
) -> None:
    with (
        served(tmp_path / "Data.fs") as address,
        pytest.raises(StorageUnreadable, match=r"zeo does not give it: .*unknown storage: two"),
    ):
        ZeoRecords(replace(storage, served_as="two"), address)


def test_a_server_that_is_not_there_is_told(storage: Storage) -> None:
    with pytest.raises(StorageUnreadable, match="zeo does not give it: Connection refused"):
        ZeoRecords(storage, Address(host="127.0.0.1", port=1))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "no ZEO server answers"),
        (b"\x00\x00\x00\x04what", "no ZEO server answers"),
        (b"\x00\x00\x00\x02Z5", "closed the connection"),
        (b"\x00\x00\x00\x02Z5\x00\x00\x00\x03\x80\x03q", "cannot be read"),
        (b"\x00\x00\x00\x02Z5\x00\x00\x00\x05\x80\x03K\x01.", "cannot be read"),
        (b"", "closed the connection"),
    ],
)
def test_what_is_no_zeo_server_is_told(storage: Storage, said: bytes, expected: str) -> None:
    with speaking(said) as address, pytest.raises(StorageUnreadable, match=expected):
        ZeoRecords(storage, address)


def test_a_class_that_an_answer_names_is_not_imported(storage: Storage) -> None:
    # (1, 2, ".reply", builtins.print) and what would call it
    pickle = b"\x80\x03(K\x01K\x02X\x06\x00\x00\x00.replycos\nsystem\nX\x05\x00\x00\x00false\x85Rt."
    said = b"\x00\x00\x00\x02Z5" + len(pickle).to_bytes(4, "big") + pickle

    with speaking(said) as address, pytest.raises(StorageUnreadable, match="cannot be read"):
        ZeoRecords(storage, address)


@contextmanager
def speaking(said: bytes) -> Iterator[Address]:
    """Listen, say SAID to who comes, take what he says, and close."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=_answer, args=(listening, said))
        thread.start()
        yield Address(host="127.0.0.1", port=listening.getsockname()[1])
        thread.join(10)


def _answer(listening: socket.socket, said: bytes) -> None:
    connection, _ = listening.accept()
    with connection:
        connection.sendall(said)
        if said.startswith(b"\x00\x00\x00\x02Z5"):
            connection.recv(1000)
