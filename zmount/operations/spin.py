"""Find threads that do not come back, from outside; nothing is ended by it.

1. which processes of the instances run, and do they answer?
2. what does each thread work on, and how much does it compute: looked at twice.
3. where one works long on the same request: the stacks of all threads.
4. whose site is the request's path?
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from zmount.agent.requests import Request
from zmount.effects.answers import ask_http
from zmount.effects.clock import Stopwatch, now, pause
from zmount.effects.queue_depth import queue_depth
from zmount.effects.threads import Frame, stacks_of, thread_times
from zmount.effects.zope_requests import ALIVE, requests_of
from zmount.errors import UnknownName
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.offlined import Side
from zmount.operations.process_names import named_processes
from zmount.operations.request_paths import mount_of_path
from zmount.operations.spinning import INNERMOST, BusyThread, ProcessLook
from zmount.operations.status import ProcessStatus, observe_process
from zmount.topology.hosts import Host
from zmount.topology.instances import Replica
from zmount.topology.topology import Topology

BETWEEN_S = 1.0  # two looks
MORE_LOOKS = 2  # for threads that seem not to compute: the machine may be busy otherwise
LONG_S = 5.0  # a request that lasts longer is worth a look
COMPUTES = 0.01  # of a processor: threads of one Python share it, and others want it, too
COMPUTES_ALONE = 0.5  # of a processor, all threads together, where no request is known


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """What the threads of a process had computed and were working on, and a watch since."""

    watch: Stopwatch
    times: Mapping[int, float]
    requests: tuple[Request, ...] | None


def spin(
    topology: Topology, host: Host, names: Iterable[str] = (), *, longer_s: float = LONG_S
) -> tuple[ProcessLook, ...]:
    """Return how the threads of the Zopes NAMES on HOST are, or of all that run there.

    A request that lasts LONGER_S seconds is one that does not come back.

    :raises UnknownName: there is no such instance on HOST
    :raises ProcessFailed: the process manager does not let us ask
    """
    local = LocalProcesses(topology=topology, host=host)
    names = tuple(names)
    chosen = [each for each in named_processes(topology, host, names) if not each.is_zeo]
    if names and not chosen:
        raise UnknownName(f"{', '.join(names)} is no Zope instance", hint="zmount show")
    seen = [observe_process(each, local) for each in chosen or local.all if not each.is_zeo]
    seen = [each for each in seen if each.is_up or chosen]
    before = [_moment(each) for each in seen]
    pause(BETWEEN_S)
    return tuple(
        _look(local, status, moment, longer_s) for status, moment in zip(seen, before, strict=True)
    )


def _moment(seen: ProcessStatus) -> _Moment:
    assert isinstance(seen.process.noun, Replica)
    return _Moment(
        watch=Stopwatch(),
        times=thread_times(seen.pid) if seen.pid is not None else {},
        requests=requests_of(seen.process.noun, seen.pid),
    )


def _look(
    local: LocalProcesses, seen: ProcessStatus, before: _Moment, longer_s: float
) -> ProcessLook:
    process, pid = seen.process, seen.pid
    replica = process.noun
    assert isinstance(replica, Replica)
    look = ProcessLook(
        process=process.name,
        instance=replica.instance.name,
        pid=pid,
        is_answering=False,
        detail=f"it is {seen.state}",
    )
    if pid is None:
        return look
    shares, busy = _measured(seen, before, longer_s)
    answer = ask_http(local.address_of(process), ALIVE)
    threads = [_of_request(replica, each, shares.get(each.native_id, 0.0)) for each in busy]
    notes: tuple[str, ...] = ()
    if before.requests is None:
        threads = list(_of_nobody(shares))
        notes = (_without_agent(process.name, bool(threads)),)
    stacks = stacks_of(replica, pid) if threads else {}
    if stacks is None:
        notes += (f"{process.name} does not write stacks: it takes no SIGUSR1, none was sent",)
    idents = {each.native_id: each.ident for each in busy}
    return replace(
        look,
        is_answering=answer.is_answering,
        detail=answer.detail,
        threads=tuple(_with_stack(each, idents, stacks or {}) for each in threads),
        known_threads=replica.instance.wsgi.threads,
        waiting=queue_depth(replica.log.path, now(), since=seen.started_at or 0.0),
        has_agent=before.requests is not None,
        notes=notes,
    )


def _measured(
    seen: ProcessStatus, before: _Moment, longer_s: float
) -> tuple[dict[int, float], tuple[Request, ...]]:
    """Return what each thread computes, and the requests that do not come back."""
    for _ in range(MORE_LOOKS):
        shares, busy = _compared(before, _moment(seen), longer_s)
        if all(shares.get(each.native_id, 0.0) >= COMPUTES for each in busy):
            return shares, busy
        pause(BETWEEN_S)
    return _compared(before, _moment(seen), longer_s)


def _compared(
    before: _Moment, after: _Moment, longer_s: float
) -> tuple[dict[int, float], tuple[Request, ...]]:
    busy = tuple(_busy(before.requests or (), after.requests or (), longer_s))
    return _shares(before, after), busy


def _shares(before: _Moment, after: _Moment) -> dict[int, float]:
    """Return the part of a processor that each thread had between BEFORE and AFTER."""
    seconds = max(before.watch.seconds, 0.01)
    return {
        thread: (time - before.times.get(thread, time)) / seconds
        for thread, time in after.times.items()
    }


def _busy(
    before: tuple[Request, ...], after: tuple[Request, ...], longer_s: float
) -> Iterator[Request]:
    """Yield the requests that lasted all the time between two looks, and long before."""
    known = {(each.native_id, each.started) for each in before}
    for each in after:
        if (each.native_id, each.started) in known and now() - each.started >= longer_s:
            yield each


def _of_request(replica: Replica, request: Request, share: float) -> BusyThread:
    found = BusyThread(
        native_id=request.native_id,
        kind="spins" if share >= COMPUTES else "waits",
        share=round(share, 3),
        seconds=round(now() - request.started, 1),
        method=request.method,
        path=request.path,
    )
    mounted = mount_of_path(request.path, replica.instance.mounts)
    if mounted is None:
        return found
    mount, point = mounted
    sides: dict[str, Side] = {"staging": "staging", "production": "production"}
    return replace(
        found,
        mount_point=point.virtual,
        storage=mount.storage.name,
        site=mount.storage.site,
        side=sides.get(mount.storage.role),
    )


def _of_nobody(shares: Mapping[int, float]) -> Iterator[BusyThread]:
    """Yield the threads that compute, where nobody says what they work on."""
    if sum(shares.values()) < COMPUTES_ALONE:
        return
    for thread, share in shares.items():
        if share >= COMPUTES:
            yield BusyThread(native_id=thread, kind="spins", share=round(share, 3))


def _with_stack(
    thread: BusyThread, idents: Mapping[int, int], stacks: Mapping[int, tuple[Frame, ...]]
) -> BusyThread:
    return replace(thread, frames=stacks.get(idents.get(thread.native_id, 0), ())[:INNERMOST])


def _without_agent(name: str, is_busy: bool) -> str:
    what = "the processor time of its threads is" if is_busy else "only what it computes is"
    return (
        f"{name} runs without zmount's agent: {what} all that can be seen from outside, not its "
        "requests. Install zmount into its environment, zmount apply, zmount restart"
    )
