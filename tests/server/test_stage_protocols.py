"""Stages behind ZEO's ways to speak (pickles, msgpack, TLS), and with compressed production."""

from __future__ import annotations

import ssl
from typing import Any

import pytest
import transaction
from certificates import PASSPHRASE, make_certificates
from deployments import free_port, wait_until
from stages import FILESTORAGE, OURS, STAGE, Client, Server, Stages
from test_stage_broken import noticed
from zc.zlibstorage import ZlibStorage
from ZEO.ClientStorage import ClientStorage
from ZODB.DB import DB
from ZODB.POSException import ConflictError, StorageError

from zmount.server.control import ControlError

LONG = "pub " * 1000  # so that it is worth compressing


def _pickles(stages: Stages) -> tuple[str, dict[str, Any]]:
    return "msgpack false", {}


def _msgpack(stages: Stages) -> tuple[str, dict[str, Any]]:
    return "msgpack true", {}


def _tls(stages: Stages) -> tuple[str, dict[str, Any]]:
    directory = stages.directory
    make_certificates(directory)
    section = "\n".join(
        (
            "<ssl>",
            f"  certificate {directory}/server.pem",
            f"  key {directory}/server.key",
            f"  authenticate {directory}/client.pem",
            "</ssl>",
        )
    )
    context = ssl.create_default_context(cafile=str(directory / "server.pem"))
    context.load_cert_chain(directory / "client.pem", directory / "client.key", PASSPHRASE)
    return section, {"ssl": context, "ssl_server_hostname": "localhost"}


@pytest.mark.parametrize("speak", [_pickles, _msgpack, _tls], ids=["pickles", "msgpack", "TLS"])
def test_a_swap_is_seen_by_clients_however_they_speak(speak: Any, stages: Stages):
    stages.fill({"a": LONG, "b": "pub"})
    zeo, options = speak(stages)
    # over a socket file, ZEO's client cannot say whose certificate it expects
    server = stages.server(zeo=zeo, port=free_port() if options else 0)
    pub = stages.client(server, "pub", **options)
    stage = stages.client(server, cache="c", **options)
    stage.write({"a": "stage"})
    stage.write_blob("one", b"stage")
    stage.read(), stage.read_blobs()
    pub.write({"b": "later"})
    pub.write_blob("two", b"later" * 50_000)  # in several pieces
    manager = transaction.TransactionManager()
    connection = stage.db.open(manager)
    tree = connection.root()["tree"]
    tree["a"]["value"] = "lost"

    server.swap(stage)

    with pytest.raises((ConflictError, StorageError)):
        manager.commit()
    manager.abort()
    connection.close()
    assert stage.read() == {"a": LONG, "b": "later"}
    assert stage.read_blobs() == {"one": b"pub", "two": b"later" * 50_000}
    stage.write({"c": "stage"})
    stage.write_blob("three", b"stage")
    server.undo(stage)
    assert stage.read() == {"a": "stage", "b": "pub"}
    assert stage.read_blobs() == {"one": b"stage"}
    server.undo(stage)
    assert stage.read() == {"a": LONG, "b": "later", "c": "stage"}
    server.stop()
    (server.generations / "gen-000001" / "base.fs").unlink()
    server.start()
    with pytest.raises(StorageError, match="stage is broken"):
        Client(server, **options)
    noticed(server, stage)
    server.swap(stage)
    assert stage.read() == {"a": LONG, "b": "later"}
    assert pub.read() == {"a": LONG, "b": "later"}


# compressed records


def compressing(stages: Stages, section: str) -> Server:
    """A server whose production is inside a SECTION of zc.zlibstorage."""
    directory = stages.directory
    inner = FILESTORAGE.format(directory=directory, name="pub", packer=OURS)
    inner = inner.replace("<filestorage pub>", "<filestorage>")
    storages = f"%import zc.zlibstorage\n<{section} pub>\n{inner}\n</{section}>\n"
    storages += STAGE.format(directory=directory, source="pub", more="")
    return stages.add(Server(directory, storages))


def zlib_client(server: Server, storage: str) -> DB:
    directory = str(server.directory / "clients" / f"zlib-{storage}")
    client = ClientStorage(str(server.socket), storage=storage, wait_timeout=10, blob_dir=directory)
    return DB(ZlibStorage(client))


def test_production_that_its_server_decompresses_is_not_swapped(stages: Stages):
    stages.fill({"a": LONG})
    server = compressing(stages, "zlibstorage")
    stage = stages.client(server)
    stage.write({"a": "stage"})
    with pytest.raises(ControlError, match="production is in a ZlibStorage, which shows") as said:
        server.swap()
    assert said.value.kind == "SwapRefused"
    assert stage.read() == {"a": "stage"}


def test_production_that_its_clients_decompress_is_decompressed_by_those_of_the_stage(
    stages: Stages,
):
    stages.fill({"a": "pub"})
    server = compressing(stages, "serverzlibstorage")
    (server.directory / "clients").mkdir(exist_ok=True)
    pub = zlib_client(server, "pub")
    with pub.transaction() as connection:
        connection.root()["tree"]["a"]["value"] = LONG
    assert LONG.encode() not in (stages.directory / "pub" / "Data.fs").read_bytes()
    stage = zlib_client(server, "stage")
    floor = bytes.fromhex(server.swap()["floor"])
    again = zlib_client(server, "stage")
    try:
        with again.transaction() as connection:
            assert connection.root()["tree"]["a"]["value"] == LONG
            connection.root()["tree"]["a"]["value"] = "stage " + LONG
        with pub.transaction() as connection:
            assert connection.root()["tree"]["a"]["value"] == LONG
        written = again.storage.lastTransaction()
        assert written > floor
        # another client hears of it when its server's message has come
        wait_until(lambda: stage.storage.lastTransaction() >= written, "the stage's client hears")
        with stage.transaction() as connection:
            assert connection.root()["tree"]["a"]["value"] == "stage " + LONG
            with connection.root()["blobs"]["one"].open() as blob:
                assert blob.read() == b"pub"
    finally:
        for database in (pub, stage, again):
            database.close()
