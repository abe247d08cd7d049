"""A pack inside a real ZEO server, while clients commit: they hardly notice, and lose nothing.

The bounds are generous: these tests share their machine with others. What the
packer really needs is measured by ``scripts/bench pack``.
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import transaction
from histories import examples, record, wait_until
from pack_crashes import children_of
from pack_rule import index_of, read
from packers import IS_STOCK
from persistent.mapping import PersistentMapping
from zeo_servers import ZeoServer, blob, zeo_server
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage
from ZODB.fsIndex import fsIndex
from ZODB.scripts import fstest
from ZODB.TimeStamp import TimeStamp
from ZODB.utils import p64, z64

PACKER = "" if IS_STOCK else "packer zmount.filestorage.packer.pack"
LONGEST_STALL_S = 1.0
RECORDS, RECORD_SIZE = 25_000, 1_900  # 50 MB, half of them garbage
PER_NODE = 250


def write_large(path: Path, records: int = RECORDS) -> None:
    """Write a storage of so many RECORDS, every other one of garbage."""
    storage = FileStorage(str(path), blob_dir=str(path.with_name("blobs")))
    some = os.urandom(RECORD_SIZE // 2).hex()
    nodes = [p64(1 + number * (PER_NODE + 1)) for number in range(records // PER_NODE)]
    meta = TransactionMetaData()
    storage.tpc_begin(meta)
    storage.store(z64, z64, record([("class", oid) for oid in nodes]), "", meta)
    _end(storage, meta)
    for node in nodes:
        first = int.from_bytes(node, "big") + 1
        leaves = [p64(first + number) for number in range(PER_NODE)]
        meta = TransactionMetaData()
        storage.tpc_begin(meta)
        storage.store(node, z64, record([("class", oid) for oid in leaves[::2]]), "", meta)
        for leaf in leaves:
            storage.store(leaf, z64, record([], some), "", meta)
        _end(storage, meta)
    storage.close()


def _end(storage: FileStorage, meta: TransactionMetaData) -> None:
    storage.tpc_vote(meta)
    storage.tpc_finish(meta)


@dataclass
class Client(threading.Thread):
    """Commits without end; ``committed`` are the times before and after, the tid, the number."""

    server: ZeoServer
    committed: list[tuple[float, float, bytes, int]] = field(default_factory=list)
    is_over: bool = False
    error: BaseException | None = None

    __hash__ = threading.Thread.__hash__

    def __post_init__(self) -> None:
        super().__init__(name="client", daemon=True)

    def run(self) -> None:
        try:
            with self.server.database() as database:
                self._commit(database)
        except BaseException as error:
            self.error = error

    def _commit(self, database: Any) -> None:
        manager = transaction.TransactionManager()
        connection = database.open(transaction_manager=manager)
        connection.root()["client"] = mine = PersistentMapping()
        manager.commit()
        number = 0
        while not self.is_over:
            number += 1
            mine["number"] = number
            if number % 5 == 0:
                mine["blob"] = blob(b"%d" % number)
            start = time.perf_counter()
            manager.commit()
            end = time.perf_counter()
            tid = connection._storage.lastTransaction()
            self.committed.append((start, end, tid, number))
        connection.close()

    def end(self) -> None:
        self.is_over = True
        self.join(30)
        assert self.error is None, self.error


@pytest.fixture
def server(short_directory: Path) -> Iterator[ZeoServer]:
    """A ZEO server with our packer and a storage of 50 MB."""
    write_large(short_directory / "Data.fs")
    with zeo_server(short_directory, f"{PACKER}\npack-keep-old false") as started:
        yield started


def test_commits_through_zeo_go_on_while_50_mb_are_packed(server: ZeoServer) -> None:
    size = server.data_fs.stat().st_size
    assert size > 45_000_000
    client = Client(server)
    client.start()
    wait_until(lambda: len(client.committed) > 20, "commits before the pack")

    with server.database() as database:
        pack_time, start = time.time(), time.perf_counter()
        database.storage.pack(pack_time, wait=True)
        end = time.perf_counter()

    wait_until(lambda: client.committed[-1][0] > end, "commits after the pack")
    client.end()
    during = [each for each in client.committed if each[1] > start and each[0] < end]
    assert len(during) > 10, "few commits during the pack: it says nothing of them"
    assert max(after - before for before, after, _, _ in during) < LONGEST_STALL_S
    assert server.data_fs.stat().st_size < 0.6 * size
    server.stop()
    must_have(server, {tid for _, _, tid, _ in client.committed if tid_time(tid) > pack_time})
    report = json.loads(server.data_fs.with_name("Data.fs.pack-report").read_text())
    assert report["result"] == "packed"
    assert report["commit_stall_s"] < LONGEST_STALL_S
    assert report["objects_dropped"] >= RECORDS // 2


def tid_time(tid: bytes) -> float:
    seconds: float = TimeStamp(tid).timeTime()
    return seconds


def must_have(server: ZeoServer, committed: set[bytes]) -> None:
    """Check that the file is sound, its index is its own, and has all that was COMMITTED."""
    fstest.check(str(server.data_fs))
    saved = fsIndex.load(f"{server.data_fs}.index")
    assert dict(saved["index"].items()) == index_of(server.data_fs, saved["pos"])
    assert committed
    assert committed <= {each.tid for each in read(server.data_fs).transactions}


@pytest.mark.parametrize("number", range(examples(3)))
def test_a_zeo_server_may_be_killed_while_it_packs(short_directory: Path, number: int) -> None:
    write_large(short_directory / "Data.fs", 15_000)
    moment_s = random.Random(number).uniform(0.05, 0.35)
    with zeo_server(short_directory, PACKER) as server:
        client = Client(server)
        client.start()
        wait_until(lambda: len(client.committed) > 5, "commits before the pack")
        process = server.process
        assert process is not None
        with server.database() as database:
            database.storage.pack(time.time(), wait=False)
            time.sleep(moment_s)
            server.stop(signal.SIGKILL)
        wait_until(lambda: not children_of(process.pid), "the pack's process is gone", 10)
        client.is_over = True
        committed = client.committed[:]
        assert committed

        server.start()
        client.join(30)  # it connects again
        with server.root() as root:
            assert root["client"]["number"] >= committed[-1][3]
            with root["client"]["blob"].open() as file:
                assert int(file.read()) == root["client"]["number"] // 5 * 5
        with server.database() as database:
            database.storage.pack(time.time(), wait=True)
        server.stop()

    fstest.check(str(server.data_fs))
    left = {path.name for path in server.directory.glob("Data.fs.pack*")}
    assert left == ({"Data.fs.pack-report"} if not IS_STOCK else set())
