"""Transactions that are going on while staging is swapped, and writers that must never hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transaction
from deployments import wait_until
from stages import Client, Server, Stages
from ZEO.Exceptions import ClientDisconnected
from ZODB.Connection import TransactionMetaData
from ZODB.POSException import ConflictError, POSError, ReadConflictError
from ZODB.utils import u64

DRAIN_S = 2


class ByHand:
    """A commit of CLIENT in single steps: object NAME gets the value "by hand"."""

    def __init__(self, client: Client, name: str) -> None:
        self.storage = client.storage
        with client.root() as root:
            each = root["tree"][name]
            each["value"]  # load it
            self.oid = each._p_oid
        self.transaction = TransactionMetaData()

    def begin(self) -> None:
        data, serial = self.storage.load(self.oid)
        data = data.replace(b"pub", b"xxx")
        self.storage.tpc_begin(self.transaction)
        self.storage.store(self.oid, serial, data, "", self.transaction)

    def vote(self) -> None:
        self.storage.tpc_vote(self.transaction)

    def finish(self) -> None:
        self.storage.tpc_finish(self.transaction)

    def abort(self) -> None:
        self.storage.tpc_abort(self.transaction)


class InThread(threading.Thread):
    """Calls FUNCTION in a thread.

    ``result`` returns what it returns, raises what it raises, or fails if it hangs.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self.function = function
        self.found: Any = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.found = self.function()
        except BaseException as why:
            self.error = why

    def result(self, timeout_s: float = 30) -> Any:
        self.join(timeout_s)
        assert not self.is_alive(), "it hangs"
        if self.error is not None:
            raise self.error
        return self.found


@pytest.fixture
def server(stages: Stages) -> Server:
    stages.fill()
    return stages.server(f"drain-timeout {DRAIN_S}s")


def must_be_writable(stages: Stages, server: Server, *clients: Client) -> None:
    """Check that nobody holds the commit lock, from old clients and a new one."""
    for number, client in enumerate((*clients, stages.client(server))):
        InThread(lambda client=client, n=number: client.write({f"w{n}": "written"})).result(15)


def test_a_transaction_that_has_not_voted_is_undone(stages: Stages, server: Server):
    client, other = stages.client(server), stages.client(server)
    commit = ByHand(client, "a")
    commit.begin()
    server.swap(client, other)
    with pytest.raises((ClientDisconnected, POSError)):
        commit.vote()
    commit.abort()
    assert client.read()["a"] == "pub"
    must_be_writable(stages, server, client, other)


def test_a_swap_waits_for_who_has_voted_and_his_commit_lands_in_the_old_content(
    stages: Stages, server: Server
):
    client, other = stages.client(server), stages.client(server)
    first, second = ByHand(client, "a"), ByHand(other, "b")
    first.begin()
    first.vote()
    second.begin()
    waiting = InThread(second.vote)  # for the first one
    time.sleep(0.2)
    swap = InThread(lambda: server.swap())
    time.sleep(0.7)
    assert swap.is_alive(), "the swap did not wait"
    first.finish()
    waiting.result()
    second.finish()
    swap.result()
    client.wait_for(bytes.fromhex(server.call("status")["floor"]))
    assert client.read() == {"a": "pub", "b": "pub", "c": "pub"}
    server.undo(client)
    assert client.read() == {"a": "xxx", "b": "xxx", "c": "pub"}
    must_be_writable(stages, server, client, other)


def test_a_voter_who_never_finishes_is_disconnected_after_the_drain_timeout(
    stages: Stages, server: Server
):
    client, other = stages.client(server), stages.client(server)
    commit, queued = ByHand(client, "a"), ByHand(other, "b")
    commit.begin()
    commit.vote()
    queued.begin()
    waiting = InThread(queued.vote)  # and would never finish, either
    time.sleep(0.2)
    start = time.monotonic()
    server.swap()
    assert DRAIN_S <= time.monotonic() - start < DRAIN_S + 3
    with pytest.raises(ClientDisconnected):
        commit.finish()
    with pytest.raises((ClientDisconnected, POSError)):
        waiting.result()
    commit.abort()
    queued.abort()
    assert stages.client(server).read() == {"a": "pub", "b": "pub", "c": "pub"}
    server.undo()
    assert stages.client(server).read() == {"a": "pub", "b": "pub", "c": "pub"}
    must_be_writable(stages, server, client, other)


def test_a_transaction_that_straddles_a_swap_reads_no_mix(stages: Stages, server: Server):
    pub, writer = stages.client(server, "pub"), stages.client(server)
    writer.write({"a": "stage", "b": "stage", "c": "stage"})
    reader = stages.client(server)
    manager = transaction.TransactionManager()
    connection = reader.db.open(manager)
    tree = connection.root()["tree"]
    assert tree["a"]["value"] == "stage"
    tree["b"]._p_deactivate()
    pub.write({"b": "pub 2"})
    server.swap(reader)
    with pytest.raises(ReadConflictError):
        tree["b"].get("value")
    manager.abort()
    assert tree["a"]["value"] == "pub"
    assert tree["b"]["value"] == "pub 2"
    manager.abort()
    connection.close()


def test_an_object_that_staging_had_changed_cannot_be_committed_over_a_swap(
    stages: Stages, server: Server
):
    client = stages.client(server)
    client.write({"a": "stage"})
    manager = transaction.TransactionManager()
    connection = client.db.open(manager)
    connection.root()["tree"]["a"]["value"] = "never"
    server.swap(client)
    with pytest.raises(ConflictError):
        manager.commit()
    manager.abort()
    connection.root()["tree"]["a"]["value"] = "again"
    manager.commit()
    connection.close()
    assert client.read()["a"] == "again"


def test_oids_that_clients_have_in_stock_are_no_production_objects(stages: Stages, server: Server):
    client, pub = stages.client(server), stages.client(server, "pub")
    client.write({"s1": "stage"})
    assert client.storage._oids  # in stock
    for _ in range(3):
        pub.write({f"p{number}": "pub" for number in range(150)})
        server.swap(client)
        for number in range(8):
            client.write({f"new{number}": "stage"})
        values = client.read()
        assert values["new7"] == "stage" and values["p149"] == "pub"
    server.undo(client)
    client.write({"after the undo": "stage"})
    assert client.storage._oids
    server.stop(9)
    server.start()
    must_be_writable(stages, server, stages.client(server))
    assert min(u64(oid) for oid in client.storage._oids) > 1 << 40


def test_writers_and_readers_go_on_over_many_swaps(stages: Stages, server: Server):
    pub = stages.client(server, "pub")
    clients = [stages.client(server) for _ in range(4)]
    is_over = threading.Event()
    progress = [0] * len(clients)
    wrong: list[str] = []

    def write(number: int) -> None:
        while not is_over.is_set():
            try:
                clients[number].write({f"w{number}": "x", "a": f"{number}"})
                values = clients[number].read()
                if len({values["b"], values["c"]}) != 1:
                    wrong.append(str(values))
                progress[number] += 1
            except (ClientDisconnected, ConflictError):
                pass

    threads = [threading.Thread(target=write, args=(n,), daemon=True) for n in range(len(clients))]
    for thread in threads:
        thread.start()
    for number in range(12):
        pub.write({"b": str(number), "c": str(number)})
        if number % 4 == 3:
            server.undo()
        else:
            server.swap()
        before = list(progress)
        wait_until(
            lambda before=before: all(new > old for new, old in zip(progress, before, strict=True)),
            f"all writers go on after swap {number}",
            timeout_s=15,
        )
    is_over.set()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive(), "a writer hangs"
    assert wrong == []


@pytest.mark.parametrize("storage", ["stage", "pub"])
def test_with_a_transaction_timeout_no_writer_hangs(stages: Stages, storage: str):
    """ZEO alone keeps the lock for ever: see the next test."""
    stages.fill()
    server = stages.server(zeo="transaction-timeout 1")
    assert hold_the_lock(stages, server, storage) == "released"


def test_zeos_own_close_keeps_the_lock_for_ever(stages: Stages):
    stages.fill()
    server = stages.plain_server("pub", zeo="transaction-timeout 1")
    assert hold_the_lock(stages, server, "pub") == "held"


def hold_the_lock(stages: Stages, server: Server, storage: str) -> str:
    client, other = stages.client(server, storage), stages.client(server, storage)
    commit = ByHand(client, "a")
    commit.begin()
    commit.vote()
    wait_until(lambda: "Transaction timeout" in server.log, "the time-out comes")
    writing = InThread(lambda: other.write({"b": "x"}))
    writing.join(6)
    return "held" if writing.is_alive() else "released"


def test_a_swap_frees_a_lock_that_a_timeout_left_held(stages: Stages, server: Server):
    """A holder whose process stopped (SIGSTOP, a debugger) is a voter who never finishes."""
    client = stages.client(server)
    commit = ByHand(client, "a")
    commit.begin()
    commit.vote()
    blocked = stages.client(server)
    writing = InThread(lambda: blocked.write({"b": "x"}))
    server.swap()
    with pytest.raises((ClientDisconnected, POSError)):
        writing.result()
    must_be_writable(stages, server, blocked)


def test_a_blob_that_is_half_sent_leaves_nothing(stages: Stages, server: Server, tmp_path: Path):
    client = stages.client(server)
    client.storage._call("storeBlobStart")
    client.storage._call("storeBlobChunk", b"half")
    temporary = stages.directory / "stage" / "blobs" / "tmp"
    assert len(list(temporary.iterdir())) == 1
    server.swap()
    assert list(temporary.iterdir()) == []
