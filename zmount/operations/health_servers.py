"""The checks that ask a ZEO server: how it is, and what it tells of each storage.

One connection asks for the state of all storages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ZODB.utils import z64

from zmount.effects.answers import FORBIDDEN
from zmount.effects.clock import now
from zmount.operations.health_conflicts import Counted, Counters
from zmount.operations.health_readings import Reading, judged, worst
from zmount.operations.health_scene import Scene, Subject
from zmount.operations.health_seen import Seen, what_to_do
from zmount.operations.health_storages import read_storages
from zmount.operations.health_words import silence, time_words
from zmount.sizes import counted
from zmount.tids import tid_time
from zmount.topology.processes import Process
from zmount.topology.storages import Storage

AHEAD_S = 5.0  # a last transaction may lie so far in the future: clocks differ a little
_TOLD = ("last-transaction", "clients", "conflicts", "commit-lock", "waiting")


def server_readings(scene: Scene, seen: Seen, counters: Counters) -> Iterator[Reading]:
    """Yield how the server that was SEEN is, and each of its storages that are looked at."""
    storages = _served(scene, seen.process)
    yield from _server(scene, seen, len(storages))
    if not seen.answer.is_answering:
        return
    for storage in storages:
        told = seen.answer.storages.get(storage.zeo_name)
        if told is not None:
            yield from _as_told(scene, storage, told, counters)
    if seen.answer.clients is not None:
        yield from read_storages(scene, seen.process, seen.answer.clients, storages)


def _served(scene: Scene, process: Process) -> tuple[Storage, ...]:
    return tuple(
        each
        for each in scene.storages
        if each.server is not None and each.server.name == process.name
    )


def _server(scene: Scene, seen: Seen, storages: int) -> Iterator[Reading]:
    subject = Subject(scene=scene, kind="server", name=seen.process.name)
    where = f"at {scene.local.address_of(seen.process)}"
    what = counted(storages, "storage")
    if not seen.answer.is_answering and seen.is_idle:
        yield from subject.says("zeo", "ok", "it does not run; it is started on demand")
        return
    if not seen.answer.is_answering:
        why = silence(seen.answer.detail, scene.timeout_s)
        said = f"does not answer {where}: {why}; {what} cannot be reached"
        if seen.answer.detail == FORBIDDEN:
            yield from subject.says("zeo", "unknown", said, hint="as root")
            return
        yield from subject.says("zeo", "critical", said, hint=what_to_do(scene, seen))
        return
    if seen.answer.clients is None:
        said = f"answers {where}, but refuses our certificate: its storages cannot be seen"
        yield from subject.says("zeo", "unknown", said, hint="zmount show, for who connects how")
        return
    number = subject.number("round_trip_seconds", seen.seconds, "seconds", "round-trip")
    yield from subject.measured(
        "zeo", number, f"answers {where} in {time_words(seen.seconds)}, serves {what}"
    )


def _as_told(
    scene: Scene, storage: Storage, told: Mapping[str, Any], counters: Counters
) -> Iterator[Reading]:
    """Yield what the server itself TOLD of STORAGE."""
    subject = Subject(scene=scene, kind="storage", name=storage.name)
    if not scene.asks(*_TOLD):
        return
    clients = int(told.get("connections", 0))
    yield from subject.measured(
        "clients",
        subject.number("clients", clients, "count", "clients"),
        counted(clients, "client"),
    )
    yield from _last_transaction(subject, str(told.get("last-transaction", "")))
    yield from _conflicts(subject, told, counters)
    yield from _commit_lock(subject, storage, told)


def _last_transaction(subject: Subject, tid_hex: str) -> Iterator[Reading]:
    try:
        tid = bytes.fromhex(tid_hex)
        moment = tid_time(tid)
    except ValueError:
        tid, moment = z64, None
    if tid == z64 or moment is None:
        yield from subject.says("last-transaction", "ok", "nothing was ever committed")
        return
    age = now() - moment.timestamp()
    number = subject.number("last_transaction_age_seconds", age, "seconds", "last-transaction")
    if age < -AHEAD_S:
        said = f"the last commit is {time_words(-age)} in the future: a clock was set back"
        hint = "set the clock of its server right"
        yield from subject.says("last-transaction", "warning", said, number, hint=hint)
        return
    said = f"the last commit was {time_words(max(age, 0.0))} ago"
    yield from subject.measured("last-transaction", number, said)


def _conflicts(subject: Subject, told: Mapping[str, Any], counters: Counters) -> Iterator[Reading]:
    seen = Counted(
        start=str(told.get("start", "")),
        commits=int(told.get("commits", 0)),
        conflicts=int(told.get("conflicts", 0)),
        resolved=int(told.get("conflicts_resolved", 0)),
    )
    since, words = counters.since(subject.name, seen)
    tried = since.commits + since.conflicts
    percent = 100 * since.conflicts / tried if tried else 0.0
    number = subject.number("conflict_percent", percent, "percent", "conflicts")
    more = (
        subject.number("commits_total", seen.commits, "count"),
        subject.number("conflicts_total", seen.conflicts, "count"),
        subject.number("conflicts_resolved_total", seen.resolved, "count"),
    )
    said = (
        f"{counted(since.commits, 'commit')}, {counted(since.conflicts, 'conflict')}"
        f" ({percent:.0f}%) and {since.resolved:,} resolved {words}"
    )
    if tried < counters.FEWEST:
        yield from subject.says("conflicts", "ok", said, number, *more)
    else:
        yield from subject.measured("conflicts", number, said, *more)


def _commit_lock(subject: Subject, storage: Storage, told: Mapping[str, Any]) -> Iterator[Reading]:
    began = told.get("lock_time")
    held = max(0.0, now() - float(began)) if began else 0.0
    waiting = int(told.get("waiting", 0))
    active = int(told.get("active_txns", 0))
    number = subject.number("commit_lock_seconds", held, "seconds", "commit-lock")
    going = subject.number("transactions", active, "count")
    said = (
        f"a transaction has held the commit lock for {time_words(held)}"
        if began
        else f"nobody holds the commit lock, {counted(active, 'transaction')} under way"
    )
    state, hint = judged(held, number.limits), ""
    if told.get("timeout-thread-is-alive") is False:
        state = worst((state, "critical"))
        said += "; the thread that ends transactions after transaction-timeout is dead"
        hint = f"zmount restart {storage.server.name}" if storage.server is not None else ""
    elif state != "ok":
        hint = "zmount spin: a client hangs in the middle of a commit; restart that one"
    yield from subject.says("commit-lock", state, said, number, going, hint=hint)
    yield from subject.measured(
        "waiting",
        subject.number("waiting_transactions", waiting, "count", "waiting"),
        f"{counted(waiting, 'transaction')} "
        + ("waits for the commit lock" if waiting == 1 else "wait for the commit lock"),
    )
