"""What ``zmount health`` makes of what ZEO servers tell of their storages."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import transaction
from broken_mounts import running
from checkups import (
    client,
    data_fs,
    deployed,
    look,
    read,
    reading,
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


def test_a_commit_that_is_tried_while_another_never_ends_is_told_and_leaves_nobody_waiting(
    served: Deployment,
) -> None:
    with voted(served, "busy"):
        found = reading(look(served, "busy", writes=True), "write", "busy")
        wait_until(lambda: _waiting(served) == 0, "the server forgot who tried")

    assert found.state == "critical"
    assert found.sentence.startswith("takes no commit: ")
    assert reading(look(served, "busy", writes=True), "write", "busy").state == "ok"


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
