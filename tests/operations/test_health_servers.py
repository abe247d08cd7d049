"""What ``zmount health`` says of ZEO servers and their storages; each check made to fire."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import transaction
from broken_mounts import running
from checkups import (
    client,
    data_fs,
    deployed,
    fill,
    look,
    read,
    reading,
    silent,
    stopped,
    value,
    voted,
)
from deployments import Deployment, wait_until
from persistent.timestamp import TimeStamp
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage
from ZODB.POSException import ConflictError
from ZODB.utils import z64

from zmount.effects.answers import ask_zeo
from zmount.operations.health_conflicts import FILE_NAME
from zmount.plan.manifest import STATE

CONF = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage content/>
<storage quarrel/>
<storage busy/>
<storage crowded/>
<storage ahead/>
<storage cut/>
<health>
  timeout 1s
  clients 2 3
  waiting 1 2
  commit-lock 200ms 1m
  last-transaction 1d 2d
</health>
"""
ALONE = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage content/>
<storage other/>
<health>
  timeout 1s
</health>
"""
HOUR_S = 3600


@pytest.fixture(scope="module")
def served() -> Iterator[Deployment]:
    """A deployment whose one ZEO server runs; each test has a storage of its own."""
    with deployed(CONF) as deployment:
        for name in ("content", "cut"):
            fill(deployment, name, number=1)
        _commit_at(deployment, "ahead", time.time() + 3 * HOUR_S)
        with running(deployment, "zeo"):
            yield deployment


@pytest.fixture
def alone() -> Iterator[Deployment]:
    """A deployment whose ZEO server may be stopped and started; it does not run."""
    with deployed(ALONE) as deployment:
        yield deployment


def _commit_at(deployment: Deployment, storage: str, moment: float) -> None:
    """Commit as at MOMENT by a clock that was wrong."""
    path = data_fs(deployment, storage)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = FileStorage(str(path))
    begun = TransactionMetaData()
    file.tpc_begin(begun, tid=_tid_of(moment))
    file.tpc_vote(begun)
    file.tpc_finish(begun)
    file.close()


def _tid_of(moment: float) -> bytes:
    whole = time.gmtime(moment)
    return bytes(TimeStamp(*whole[:5], whole[5] + moment % 1).raw())


def _damage_root(path: Path) -> None:
    """Write over the header of the root's last record, which its server still knows."""
    file = FileStorage(str(path), read_only=True)
    head = z64 + file.lastTransaction()  # oid and tid: how its last record begins
    file.close()
    content = path.read_bytes()
    assert content.count(head) == 1
    with path.open("r+b") as written:
        written.seek(content.index(head))
        written.write(b"\x01" * 8)


def test_a_server_that_is_well_is_ok_in_everything(served: Deployment) -> None:
    found = look(served, "content")

    assert {each.check for each in found.readings} >= {
        "storage",
        "last-transaction",
        "clients",
        "conflicts",
        "commit-lock",
        "waiting",
        "lock-holder",
        "data-file",
        "index",
        "blobs",
        "free-space",
    }
    wrong = [each for each in found.readings if each.state != "ok"]
    assert [each.check for each in wrong] == ["process"]  # nobody keeps alive what a test runs
    size = value(reading(found, "storage", "content"), "size_bytes")
    assert size == data_fs(served, "content").stat().st_size


def test_a_stopped_server_is_critical_and_its_storages_files_are_still_looked_at(
    alone: Deployment,
) -> None:
    fill(alone, "content", number=1)

    found = look(alone)

    zeo = reading(found, "zeo", "zeo")
    assert (found.state, found.exit_status) == ("critical", 2)
    assert zeo.state == "critical"
    assert "nothing listens there; 2 storages cannot be reached" in zeo.sentence
    process = reading(found, "process", "zeo")
    assert (process.state, value(process, "up")) == ("critical", 0)
    assert process.sentence == "does not run"
    assert process.hint == "zmount start zeo"
    assert reading(found, "data-file", "content").state == "ok"
    assert not any(each.check == "storage" for each in found.readings)


def test_a_server_that_hangs_is_critical_after_one_time_out(alone: Deployment) -> None:
    with running(alone, "zeo") as children, stopped(children["zeo"].pid):
        found = look(alone)

    zeo = reading(found, "zeo", "zeo")
    assert (zeo.state, zeo.numbers) == ("critical", ())
    assert "it says nothing within 1.0 s" in zeo.sentence
    assert 1 <= found.seconds < 1.9
    assert reading(found, "data-file", "content").state == "ok"  # the kernel tells


def test_a_slow_server_is_judged_by_its_round_trip(alone: Deployment) -> None:
    with running(alone, "zeo") as children, stopped(children["zeo"].pid):
        wakes = threading.Timer(0.4, os.kill, (children["zeo"].pid, signal.SIGCONT))
        wakes.start()
        found = look(alone, only=("zeo",))
        wakes.join()

    zeo = reading(found, "zeo", "zeo")
    assert zeo.state == "warning"
    assert 0.3 < value(zeo, "round_trip_seconds") < 0.9


def test_ten_servers_and_ten_instances_that_are_down_cost_one_time_out() -> None:
    numbers = range(10)
    text = "".join(
        f"<zeo zeo{n}>\n  address var/z{n}\n</zeo>\n<storage s{n}>\n  server zeo{n}\n</storage>\n"
        f"<instance pub{n}>\n  http-address var/h{n}\n  <mount s{n}>\n    mount-point /s\n"
        "  </mount>\n</instance>\n"
        for n in numbers
    )
    with deployed(text + "<health>\n  timeout 1s\n</health>\n") as deployment:
        places = [
            deployment.process(f"{kind}{n}").address for kind in ("zeo", "pub") for n in numbers
        ]
        with silent(*(str(each.socket) for each in places)):
            found = look(deployment)

    down = [each for each in found.readings if each.check in ("zeo", "http")]
    assert [each.state for each in down] == ["critical"] * 20
    assert 1 <= found.seconds < 3  # mounts have a time-out of 2 s of their own


def test_a_server_that_hangs_after_it_said_how_it_is_costs_one_time_out_more() -> None:
    """As one whose disk hangs: its first read blocks it, and so all that ask for others."""
    names = [f"s{n}" for n in range(30)]
    storages = "".join(f"<storage {name}/>\n" for name in names)
    text = "<zeo zeo>\n  address var/zeo.sock\n</zeo>\n<health>\n  timeout 1s\n</health>\n"
    with deployed(text + storages) as deployment, _hanging_after_ruok(deployment, names):
        found = look(deployment, only=("zeo", "storage"))

    assert reading(found, "zeo", "zeo").state == "ok"
    states = {each.state for each in found.readings if each.check == "storage"}
    assert states == {"critical", "unknown"}
    assert reading(found, "storage", "s0").state == "critical"
    assert reading(found, "storage", "s29").sentence.startswith("not asked for")
    assert found.seconds < 2  # and not 30 / 8 time-outs


@contextmanager
def _hanging_after_ruok(deployment: Deployment, names: list[str]) -> Iterator[None]:
    """Something at the server's address that answers ``ruok``, and nothing else after it."""
    state = json.dumps({name: {"connections": 0, "last-transaction": "0" * 16} for name in names})

    def answer() -> None:
        for message in (b"Z5", state.encode()):
            first.sendall(len(message).to_bytes(4, "big") + message)
        first.recv(100)

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(deployment.process("zeo").address.socket))
        listening.listen(64)

        def serve() -> None:
            nonlocal first
            first, _ = listening.accept()
            answer()

        first = socket.socket()
        thread = threading.Thread(target=serve)
        thread.start()
        yield
        thread.join()
        first.close()


def test_something_else_at_a_servers_address_is_no_server(alone: Deployment) -> None:
    place = str(alone.process("zeo").address.socket)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen()
        greets = threading.Thread(target=_greet, args=(listening,))
        greets.start()
        found = look(alone, only=("zeo", "process"))
        greets.join()

    assert "something that is no ZEO server answers" in reading(found, "zeo", "zeo").sentence
    process = reading(found, "process", "zeo")
    assert process.state == "critical"
    assert f"pid {os.getpid()} (" in process.sentence


def _greet(listening: socket.socket) -> None:
    accepted, _ = listening.accept()
    with accepted:
        accepted.sendall(b"220 mail.example.org ESMTP\r\n")


def test_a_storage_that_the_server_does_not_serve_is_critical(served: Deployment) -> None:
    served.rewrite(CONF + "<storage extra/>\n")
    try:
        found = look(served)
    finally:
        served.rewrite(CONF)

    extra = reading(found, "storage", "extra")
    assert extra.state == "critical"
    assert extra.sentence == "the ZEO server zeo runs, but does not serve extra"
    assert reading(found, "storage", "content").state == "ok"


def test_a_root_that_cannot_be_read_is_critical(alone: Deployment) -> None:
    fill(alone, "content", number=1)
    with running(alone, "zeo"):
        _damage_root(data_fs(alone, "content"))
        found = read(alone, "storage", "content")

    assert found.state == "critical"
    assert "does not give it" in found.sentence
    assert "zmount verify content" in found.hint


def test_a_data_fs_cut_under_its_server_is_critical(served: Deployment) -> None:
    path = data_fs(served, "cut")
    size = path.stat().st_size
    assert read(served, "storage", "cut").state == "ok"
    os.truncate(path, size - 10)

    found = read(served, "storage", "cut")

    assert found.state == "critical", found
    assert f"has {size - 10:,} bytes, its server says {size:,}" in found.sentence
    assert "zmount verify cut" in found.hint


def test_a_last_commit_in_the_future_is_a_warning(served: Deployment) -> None:
    found = read(served, "last-transaction", "ahead")

    assert found.state == "warning"
    assert found.sentence == "the last commit is 3 h in the future: a clock was set back"
    assert value(found, "last_transaction_age_seconds") < -HOUR_S


def test_a_storage_that_nobody_commits_to_any_more_is_judged_by_its_limit() -> None:
    text = ALONE.replace("timeout 1s", "last-transaction 1d 2d")
    with deployed(text) as deployment:
        _commit_at(deployment, "content", time.time() - 36 * HOUR_S)
        _commit_at(deployment, "other", time.time() - 73 * HOUR_S)
        with running(deployment, "zeo"):
            found = look(deployment, only=("last-transaction",))

    assert reading(found, "last-transaction", "content").state == "warning"
    assert reading(found, "last-transaction", "other").state == "critical"
    assert reading(found, "last-transaction", "other").sentence == "the last commit was 3 days ago"


def test_clients_over_the_limit(served: Deployment) -> None:
    states = []
    with ExitStack() as connections:
        for _ in range(4):
            states.append(read(served, "clients", "crowded").state)
            connections.callback(client(served, "crowded").close)
        last = read(served, "clients", "crowded")

    assert states == ["ok", "ok", "warning", "critical"]
    assert last.sentence == "4 clients"


def test_conflicts_are_counted_since_the_last_look(served: Deployment) -> None:
    """After 150 commits without one, 20 conflicts in 40 commits would be 11 in a hundred."""
    storage = client(served, "quarrel")
    serial = _stored(storage, z64)
    for _ in range(150):
        serial = _stored(storage, serial)
    _counters(served).unlink(missing_ok=True)
    quiet = read(served, "conflicts", "quarrel")
    _let_the_last_look_be(served, seconds_ago=60)
    _quarrel(storage, serial)
    storage.close()

    found = read(served, "conflicts", "quarrel")

    assert (quiet.state, value(quiet, "conflicts_total")) == ("ok", 0)
    assert found.state == "critical", found
    assert "20 commits, 20 conflicts (50%) and 0 resolved in 6" in found.sentence
    assert value(found, "conflicts_total") == 20


def test_a_restarted_server_counts_from_its_start(alone: Deployment) -> None:
    place = _counters(alone)
    with running(alone, "zeo"):
        read(alone, "conflicts", "content")
    remembered = json.loads(place.read_text())
    remembered["content"] |= {"commits": 10_000, "at": time.time() - 60}
    place.write_text(json.dumps(remembered))
    with running(alone, "zeo"):
        found = read(alone, "conflicts", "content")

    assert found.sentence == "0 commits, 0 conflicts (0%) and 0 resolved since its start"


@pytest.mark.parametrize("text", ["", "[]", '{"content": 7}', '{"content": {"at": "x"}}'])
def test_what_was_remembered_badly_stops_nothing(served: Deployment, text: str) -> None:
    _counters(served).write_text(text)
    assert "since its start" in read(served, "conflicts", "content").sentence


def _stored(storage: object, serial: bytes) -> bytes:
    """Commit to one object, as seen at SERIAL; return the new serial."""
    begun = transaction.TransactionManager().begin()
    try:
        storage.tpc_begin(begun)  # type: ignore[attr-defined]
        storage.store(b"\0" * 7 + b"\1", serial, b"no pickle.", "", begun)  # type: ignore[attr-defined]
        storage.tpc_vote(begun)  # type: ignore[attr-defined]
        return bytes(storage.tpc_finish(begun))  # type: ignore[attr-defined]
    except BaseException:
        storage.tpc_abort(begun)  # type: ignore[attr-defined]
        raise


def _quarrel(storage: object, serial: bytes) -> None:
    for _ in range(20):
        new = _stored(storage, serial)
        with pytest.raises(ConflictError):
            _stored(storage, serial)
        serial = new


def _counters(deployment: Deployment) -> Path:
    return Path(deployment.host.directory / STATE / FILE_NAME)


def _let_the_last_look_be(deployment: Deployment, *, seconds_ago: float) -> None:
    path = _counters(deployment)
    remembered = json.loads(path.read_text())
    for each in remembered.values():
        each["at"] = time.time() - seconds_ago
    path.write_text(json.dumps(remembered))


def test_a_transaction_that_never_ends_and_those_that_wait_for_it(served: Deployment) -> None:
    idle = read(served, "commit-lock", "busy")
    with ThreadPoolExecutor(2) as waiting:
        with voted(served, "busy"):
            time.sleep(0.25)
            alone = look(served, only=("commit-lock", "waiting"))
            ends = [waiting.submit(_vote, served) for _ in range(2)]
            wait_until(lambda: _waiting(served) == 2, "both wait")
            crowd = look(served, only=("commit-lock", "waiting"))
        for each in ends:
            each.result(20)

    assert idle.state == "ok"
    held = reading(alone, "commit-lock", "busy")
    assert held.state == "warning"
    assert held.sentence.startswith("a transaction has held the commit lock for ")
    assert 0.2 < value(held, "commit_lock_seconds") < 5
    assert reading(alone, "waiting", "busy").state == "ok"
    waits = reading(crowd, "waiting", "busy")
    assert (waits.state, waits.sentence) == (
        "critical",
        "2 transactions wait for the commit lock",
    )
    assert read(served, "commit-lock", "busy").state == "ok"
    assert reading(crowd, "commit-lock", "content").state == "ok"


def _vote(deployment: Deployment) -> None:
    with voted(deployment, "busy"):
        pass


def _waiting(deployment: Deployment) -> int:
    return int(ask_zeo(deployment.process("zeo").address).storages["busy"]["waiting"])


def test_a_server_whose_timeout_thread_died_is_critical(alone: Deployment) -> None:
    """A real server, in which an exception ended the thread; nothing but this look shows it."""
    alone.rewrite(ALONE.replace("zeo.sock", "zeo.sock\n  transaction-timeout 30"))
    alone.write_files()
    program = alone.process("zeo").program
    assert program[0].endswith("runzeo")
    with subprocess.Popen([sys.executable, "-c", TIMEOUT_THREAD_DIES, *program[1:]]) as server:
        try:
            wait_until(lambda: ask_zeo(alone.process("zeo").address).is_answering, "it answers")
            with voted(alone, "content"):
                pass  # wakes the thread, which finds the exception
            wait_until(lambda: not _timeout_thread_lives(alone), "its thread is dead")
            found = look(alone, only=("commit-lock",))
        finally:
            server.kill()

    dead = reading(found, "commit-lock", "content")
    assert dead.state == "critical"
    assert "the thread that ends transactions after transaction-timeout is dead" in dead.sentence
    assert dead.hint == "zmount restart zeo"


TIMEOUT_THREAD_DIES = """
import ZEO.StorageServer, ZEO.runzeo
def run(self):
    with self._cond:
        self._cond.wait()
    raise SystemExit
ZEO.StorageServer.TimeoutThread.run = run
ZEO.runzeo.main()
"""


def _timeout_thread_lives(deployment: Deployment) -> bool:
    told = ask_zeo(deployment.process("zeo").address).storages["content"]
    return bool(told["timeout-thread-is-alive"])
