"""Threads that meet in a swap: the event loop, slow methods, who asks, and who closes."""

from __future__ import annotations

import shutil
import threading
import time
from typing import Any

import pytest
from deployments import wait_until
from stages import Stages
from test_stage_in_flight import InThread
from ZODB.POSException import POSKeyError

from zmount.server import gate
from zmount.server.freezing import SwapRefused
from zmount.server.stage import StageStorage


class Loop:
    """An event loop that does what it is told to when the test lets it."""

    def __init__(self) -> None:
        self.todo: list[Any] = []

    def call_soon_threadsafe(self, function: Any, *arguments: Any) -> None:
        self.todo.append(function)


def test_a_call_that_the_loop_does_not_come_to_is_never_made(monkeypatch: pytest.MonkeyPatch):
    """Or it would switch to a content that is closed by then."""
    monkeypatch.setattr(gate, "ON_LOOP_S", 0.1)
    loop, called = Loop(), []
    one = object.__new__(gate.Gate)
    one._loop = loop
    with pytest.raises(SwapRefused, match="does not answer"):
        one.on_loop(lambda: called.append(1))
    loop.todo[0]()  # at last
    assert called == []


def test_a_call_that_has_begun_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gate, "ON_LOOP_S", 0.1)
    loop = Loop()
    one = object.__new__(gate.Gate)
    one._loop = loop

    def slow() -> str:
        time.sleep(0.5)
        return "done"

    waiting = InThread(lambda: one.on_loop(slow))
    while not loop.todo:
        time.sleep(0.001)
    loop.todo[0]()
    assert waiting.result() == "done"


def test_what_a_call_raises_is_raised_for_who_waits():
    loop = Loop()
    one = object.__new__(gate.Gate)
    one._loop = loop
    waiting = InThread(lambda: one.on_loop(lambda: 1 / 0))
    while not loop.todo:
        time.sleep(0.001)
    loop.todo[0]()
    with pytest.raises(ZeroDivisionError):
        waiting.result()


def test_a_switch_that_fails_at_the_last_moment_is_taken_back_on_the_disk(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
):
    stages.fill()
    storage = StageStorage(stages.settings())

    def become(self: StageStorage, generation: Any, content: Any, at_once: Any) -> None:
        def never(take: Any) -> None:
            raise SwapRefused("the ZEO server does not answer")

        original(self, generation, content, never)

    original = StageStorage._become
    monkeypatch.setattr(StageStorage, "_become", become)
    for _ in range(2):
        with pytest.raises(SwapRefused):
            storage.swap()
        assert storage.generation is None and storage.generations.current is None
        assert storage.generations.all() == ()
    monkeypatch.undo()
    assert storage.swap().generation == storage.generations.current
    storage.close()


def test_a_log_of_transactions_that_is_being_read_keeps_the_old_content_open(stages: Stages):
    stages.fill()
    storage = StageStorage(stages.settings())
    before = storage._content
    with storage._read() as content:  # as undoLog does, which gives way now and then
        swap = InThread(storage.swap)
        wait_until(lambda: storage._content is not before, "it is switched")
        assert swap.is_alive() and not before._file.closed
        assert len(content.undoLog()) == 2
    swap.result()
    assert before._file.closed
    storage.close()


def test_an_undo_log_over_zeo_while_staging_is_swapped(stages: Stages):
    stages.fill()
    server = stages.server()
    client, other = stages.client(server), stages.client(server)
    for number in range(50):
        client.write({"a": str(number)})
    is_over = threading.Event()
    found: list[int] = []

    def read() -> None:
        while not is_over.is_set():
            try:
                found.append(len(other.storage.undoLog(0, -60)))
            except Exception:
                time.sleep(0.01)

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    for _ in range(4):
        server.swap(client)
        server.undo(client)
    is_over.set()
    reading.join(20)
    assert not reading.is_alive() and found
    assert "Traceback" not in server.log
    assert client.read()["a"] == "49"


def test_a_stage_that_is_closed_while_it_is_swapped_begins_no_switch(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
):
    stages.fill()
    storage = StageStorage(stages.settings())

    def progress(phase: str, done: int, total: int) -> None:
        storage.close()

    with pytest.raises(SwapRefused, match="its server is ending"):
        storage.swap(progress=progress)
    with_lock = StageStorage(stages.settings())
    assert with_lock.generation is None
    with_lock.close()


def test_who_stops_the_server_in_a_swap_gets_a_stage_that_starts_again(stages: Stages):
    stages.fill(blobs={f"b{number}": b"x" for number in range(300)})
    server = stages.server()
    for delay_s in (0.05, 0.2, 0.4, 0.6):
        swap = InThread(server.swap)
        time.sleep(delay_s)
        server.stop()
        swap.join(10)
        assert not swap.is_alive()
        server.start()
        assert stages.client(server).read() == {"a": "pub", "b": "pub", "c": "pub"}


def test_a_shared_blob_directory_shows_no_wrong_blob(stages: Stages):
    """Where blobs are changes with each swap, so a client cannot share them; it misses some."""
    stages.fill()
    server = stages.server()
    blobs = str(stages.directory / "stage" / "blobs")
    shared = stages.client(server, blob_dir=blobs, shared_blob_dir=True)
    pub, other = stages.client(server, "pub"), stages.client(server)
    assert shared.read_blobs() == {"one": b"pub"}
    shared.write_blob("one", b"stage")
    other.wait_for(shared.storage.lastTransaction())
    assert other.read_blobs() == {"one": b"stage"}
    pub.write_blob("one", b"later")
    server.swap(shared, other)
    assert other.read_blobs() == {"one": b"later"}
    with pytest.raises(POSKeyError, match="No blob file"):
        shared.read_blobs()
    with pytest.raises(Exception, match=r"No such file|blob"):
        shared.write_blob("two", b"two")
    assert other.read_blobs() == {"one": b"later"}
    other.write_blob("two", b"two")
    assert other.read_blobs() == {"one": b"later", "two": b"two"}


def test_after_an_undo_the_status_counts_what_was_changed_before_it(stages: Stages):
    stages.fill()
    server = stages.server()
    client = stages.client(server)
    server.swap(client)
    assert server.call("status")["changed_transactions"] == 0
    client.write({"a": "stage"})
    server.swap(client)
    assert server.call("status")["changed_objects"] == 0
    server.undo(client)
    status = server.call("status")
    assert (status["changed_objects"], status["changed_transactions"]) == (1, 1)


def test_a_directory_of_production_that_goes_away_in_a_swap(stages: Stages):
    stages.fill()
    server = stages.stage_server()
    server.swap()
    shutil.rmtree(stages.directory / "pub" / "blobs")
    with pytest.raises(Exception, match=r"blobs: No such file or directory; staging is as it was"):
        server.swap()
    assert stages.client(server).read_blobs() == {"one": b"pub"}


def test_a_loop_that_was_busy_for_too_long_gives_the_lock_back(
    stages: Stages, monkeypatch: pytest.MonkeyPatch
):
    """In this process: the loop stands still where the switch is to be made."""
    import ZEO
    from ZEO.StorageServer import StorageServer

    stages.fill()
    storage = StageStorage(stages.settings())
    address = str(stages.directory / "busy.sock")
    server = StorageServer(address, {"stage": storage})
    server.start_thread()
    monkeypatch.setattr(gate, "ON_LOOP_S", 1.0)
    is_free = threading.Event()
    original = storage.generations.make_current

    def make_current(one: Any) -> None:
        original(one)
        server.acceptor.event_loop.call_soon_threadsafe(is_free.wait, 10)

    monkeypatch.setattr(storage.generations, "make_current", make_current)
    with pytest.raises(SwapRefused, match="does not answer"):
        storage.swap()
    assert storage.generation is None and storage.generations.current is None
    is_free.set()
    monkeypatch.undo()
    database = ZEO.DB(address, storage="stage", wait_timeout=10)
    with database.transaction() as connection:
        connection.root()["x"] = 1
    storage.swap()
    wait_until(lambda: not storage._turns._doing, "it is cleaned up")
    database.close()
    server.close()
