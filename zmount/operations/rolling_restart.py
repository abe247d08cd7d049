"""Restart the processes of instances one after the other, so that visitors notice nothing.

Of each in turn:

1. another replica, here or on another host, must take visitors meanwhile; zmount on another
   host may be at it, too, and then one of the two waits for the other.
2. drain: its liveness page answers 503. Give load balancers the time to see it, then wait
   until it works on no request any more.
3. stop it, start it, and wait until it answers.
4. give load balancers the time to see that it is back.

Where one does not come back, those behind it are left as they are.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from zmount.effects.apply import recover
from zmount.effects.clock import Stopwatch, pause
from zmount.effects.draining import Drain, at_work, draining, takes_visitors
from zmount.effects.lock import locked
from zmount.errors import ProcessFailed, ZMountError
from zmount.operations.changes import Change, Watcher
from zmount.operations.changes_recorded import changes_recorded
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.process_names import named_processes
from zmount.operations.start import start_processes
from zmount.operations.status import ProcessStatus, observe_process, start_timeout_s
from zmount.operations.stop import stop_processes
from zmount.topology.hosts import Host
from zmount.topology.instances import Replica
from zmount.topology.processes import Process
from zmount.topology.topology import Topology

DRAIN_S = 10.0
LIMIT_S = 60.0
_IDLE_S = 1.0  # without a request: a balancer that has not seen it yet would send one
_LOOK_S = 0.1
_BACK_OFF_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingWish:
    """How long to wait: ``drain_s`` for load balancers, each time; at most ``limit_s``
    more for requests that take long."""

    drain_s: float = DRAIN_S
    limit_s: float = LIMIT_S


def rolling_restart(
    topology: Topology, host: Host, names: Iterable[str], watch: Watcher, wish: RollingWish
) -> tuple[Change, ...]:
    """Restart the processes of the instances NAMES on HOST that run, or of all instances.

    Failures are in the result, not raised; the first one ends it.

    :raises UnknownName: there is no such process on HOST
    :raises ProcessFailed: a ZEO server is named
    :raises Locked: another zmount is at work on this deployment
    """
    local = LocalProcesses(topology=topology, host=host)
    named = named_processes(topology, host, names)
    _must_be_zopes(named)
    chosen = named or tuple(process for process in local.all if not process.is_zeo)
    with (
        changes_recorded(local, "restart", named, arguments={"rolling": True}) as tell,
        locked(host.directory) as state,
    ):
        recover(state)
        changes: list[Change] = []
        for number, process in enumerate(chosen):
            changes += _in_turn(local, process, chosen[number + 1 :], watch, wish)
            if changes[-1].error is not None:
                break
        return tell(tuple(changes))


def _must_be_zopes(named: Sequence[Process]) -> None:
    for process in named:
        if process.is_zeo:
            raise ProcessFailed(
                f"{process.name} is a ZEO server: there is no other that takes over",
                hint=f"zmount restart {process.name}; its instances connect again",
            )


def _in_turn(
    local: LocalProcesses,
    process: Process,
    behind: Sequence[Process],
    watch: Watcher,
    wish: RollingWish,
) -> tuple[Change, ...]:
    """Restart PROCESS; where that fails, say that those BEHIND it are left as they are."""
    watch(process)
    stopwatch = Stopwatch()
    changes: tuple[Change, ...] = ()
    try:
        seen = observe_process(process, local)
        if seen.state in ("stopped", "foreign"):
            change = Change(process=process, done="was not running")
            watch(change)
            return (change,)
        with _drained(local, seen, wish) as notes:
            changes = stop_processes(local, [process], lambda _: None)
        _refuse(changes)
        changes += start_processes(local, [process], lambda _: None)
        _refuse(changes)
        _must_take_visitors(local, process, wish)
    except ZMountError as error:
        left = f"\nleft as they are: {' '.join(each.name for each in behind)}" if behind else ""
        error = type(error)(f"{error}{left}", hint=error.hint)
        failed = Change(process=process, done="failed", seconds=stopwatch.seconds, error=error)
        watch(failed)
        return (*(each for each in changes if each.error is None), failed)
    stopped, started = changes
    started = replace(started, notes=(*notes, *started.notes))
    watch(started)
    return stopped, started


def _refuse(changes: Sequence[Change]) -> None:
    """Raise what went wrong with the last of CHANGES, if anything did."""
    if (error := changes[-1].error) is not None:
        raise error


@contextmanager
def _drained(
    local: LocalProcesses, seen: ProcessStatus, wish: RollingWish
) -> Iterator[tuple[str, ...]]:
    """Let the process that was SEEN do without visitors; yield what was not so.

    :raises ProcessFailed: no other replica takes them
    """
    process, pid = seen.process, seen.pid
    replica = process.noun
    assert isinstance(replica, Replica)
    if not replica.instance.is_replicated:
        yield ("it is the only process of its instance: nobody answered meanwhile",)
        return
    if pid is None or seen.state != "running":
        yield ()  # it has no visitors
        return
    with draining(replica, pid) as drain:
        _take_turn(local, replica, drain, wish)
        yield _idle(local, process, replica, pid, wish)


def _take_turn(local: LocalProcesses, replica: Replica, drain: Drain, wish: RollingWish) -> None:
    """Let DRAIN begin, when another process of REPLICA's instance takes visitors meanwhile.

    zmount on another host may be at the same instance, and each of the two relies on the
    other's process: so each says first what it intends, and looks then.

    :raises ProcessFailed: there is no other, also after the time that a restart takes
    """
    watch, patience_s = Stopwatch(), _patience_s(local, replica, wish)
    while True:
        drain.intend()
        if _another(local, replica, and_goes_on=True):
            drain.begin()
            return
        drain.end()
        if watch.seconds >= patience_s:
            break
        pause(random.uniform(0.1, _BACK_OFF_S))
    name = replica.instance.name
    raise ProcessFailed(
        f"{replica.name} is not restarted: no other process of {name} takes visitors",
        hint=f"zmount start {name}; or zmount restart {replica.name}, which does not wait",
    )


def _patience_s(local: LocalProcesses, replica: Replica, wish: RollingWish) -> float:
    """Return how long another host may need for restarting the process that we wait for.

    Here we hold the lock, and nobody restarts anything.
    """
    others = [local.everywhere[other.name] for other in replica.instance.replicas]
    times = [start_timeout_s(other) for other in others if not local.is_here(other)]
    return 2 * wish.drain_s + wish.limit_s + max(times) if times else 0


def _another(local: LocalProcesses, replica: Replica, *, and_goes_on: bool = False) -> bool:
    """True if another process of REPLICA's instance, on any host, takes visitors."""
    return any(
        takes_visitors(local.address_of(local.everywhere[other.name]), and_goes_on=and_goes_on)
        for other in replica.instance.replicas
        if other.name != replica.name
    )


def _idle(
    local: LocalProcesses, process: Process, replica: Replica, pid: int, wish: RollingWish
) -> tuple[str, ...]:
    """Wait until REPLICA has nothing to do; return what is to be told if it has."""
    notes: tuple[str, ...] = ()
    if takes_visitors(local.address_of(process)):
        notes = (
            "it runs without zmount's agent: load balancers were not told, and its requests "
            "are not known",
        )
    pause(wish.drain_s)
    watch, busy, idle = Stopwatch(), 0, Stopwatch()
    while idle.seconds < _IDLE_S:
        if watch.seconds > wish.limit_s and busy:
            requests = "request was" if busy == 1 else "requests were"
            return (*notes, f"{busy} {requests} cut off, after {watch.seconds:.0f} s of waiting")
        pause(_LOOK_S)
        busy = at_work(replica, pid)
        if busy:
            idle = Stopwatch()
    return notes


def _must_take_visitors(local: LocalProcesses, process: Process, wish: RollingWish) -> None:
    """Wait until PROCESS takes visitors again, and load balancers have seen that.

    :raises ProcessFailed: it does not
    """
    watch, address = Stopwatch(), local.address_of(process)
    while not takes_visitors(address):
        if watch.seconds > start_timeout_s(process):
            raise ProcessFailed(
                f"{process.name} was started, but takes no visitors at {address}",
                hint=f"zmount status {process.name}; see {process.log.path}",
            )
        pause(_LOOK_S)
    if isinstance(process.noun, Replica) and process.noun.instance.is_replicated:
        pause(wish.drain_s)
