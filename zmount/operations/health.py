"""Say how the deployment is: every server, storage, instance and mount, in one look.

1. choose: which checks, of which things.
2. ask:    all servers and instances side by side, so that those that are down cost one
           time-out together.
3. look:   at files, mounts and generated files meanwhile.
4. judge:  each number by the limits of <health>.

Nothing is changed, no lock is taken that anybody could wait for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from zmount.effects.clock import Stopwatch, now
from zmount.errors import UnknownName
from zmount.operations.health_checks import BY_NAME, known
from zmount.operations.health_conflicts import Counters
from zmount.operations.health_files import file_readings
from zmount.operations.health_history import history_readings
from zmount.operations.health_host import (
    clock_readings,
    config_readings,
    mount_readings,
    volume_readings,
)
from zmount.operations.health_processes import process_readings, replica_readings
from zmount.operations.health_readings import Health, Reading, sort_key, without_restarts
from zmount.operations.health_scene import Scene
from zmount.operations.health_schedules import schedule_readings
from zmount.operations.health_seen import Seen, ask_replica, ask_server
from zmount.operations.health_servers import server_readings
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.lost_files import Opener
from zmount.operations.process_names import noun_name
from zmount.operations.without_unmounted import without_unmounted
from zmount.topology.hosts import Host
from zmount.topology.processes import Process
from zmount.topology.topology import Topology, nearest

Readings = tuple[Reading, ...]
MOST_THREADS = 512  # they wait nearly all the time; more that are down cost a second time-out


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthWish:
    """What is to be looked at, and how.

    ``names`` are of ZEO servers, storages, sites, instances and processes, none for all;
    ``only`` and ``excluded`` of checks. ``writes``: also whether storages that are no
    production's can be written to; nothing is committed.
    """

    names: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    writes: bool = False


def health(topology: Topology, host: Host, wish: HealthWish = HealthWish()) -> Health:
    """Return how the part of TOPOLOGY is that HOST runs, and what it reaches, as far as WISHed.

    TOPOLOGY has what is unmounted, too.

    :raises UnknownName: there is no such check, or no such thing
    """
    watch = Stopwatch()
    as_run = without_unmounted(topology)
    scene = Scene(
        local=LocalProcesses(topology=as_run, host=host),
        checks=_chosen(wish),
        names=_meant(as_run, wish.names),
    )
    counters = Counters(host)
    with ThreadPoolExecutor(MOST_THREADS, "health") as threads:
        readings = without_restarts(tuple(_look(scene, topology, counters, threads)))
    counters.save()
    return Health(
        host=host.name,
        at=now(),
        seconds=watch.seconds,
        readings=tuple(sorted(readings, key=sort_key)),
    )


def _chosen(wish: HealthWish) -> frozenset[str]:
    chosen = known(wish.only) or (frozenset(BY_NAME) - {"write"})
    if wish.writes:
        chosen |= {"write"}
    return chosen - known(wish.excluded)


def _meant(topology: Topology, names: tuple[str, ...]) -> frozenset[str]:
    processes = LocalProcesses(topology=topology, host=topology.hosts[0]).everywhere.values()
    there = (
        {each.name for each in topology.storages}
        | {each.name for each in topology.sites}
        | {each.name for each in processes}
        | {noun_name(each) for each in processes}
    )
    for name in names:
        if name not in there:
            raise UnknownName(
                f"there is no ZEO server, storage, site or instance {name!r}",
                hint=nearest(name, there) or "zmount show",
            )
    return frozenset(names)


def _look(
    scene: Scene, topology: Topology, counters: Counters, threads: ThreadPoolExecutor
) -> Iterator[Reading]:
    """Yield all readings; TOPOLOGY has what is unmounted, too."""
    asked = [
        threads.submit(_process, scene, process, counters)
        for process in scene.local.everywhere.values()
        if process in scene.processes or _opens_one(scene, process)
    ]
    other = [
        threads.submit(_all, mount_readings, scene, topology),
        threads.submit(_all, volume_readings, scene),
        threads.submit(_all, history_readings, scene),
        threads.submit(_all, schedule_readings, scene),
    ]
    if not scene.names:
        other.append(threads.submit(_all, config_readings, scene))
    openers: dict[str, Opener] = {}
    for each in asked:
        seen, readings = each.result()
        openers[seen.process.name] = Opener(
            process=seen.process,
            pid=seen.pid,
            is_hidden=seen.is_hidden,
            served=seen.answer.clients,
        ).again()
        yield from readings
    yield from _files(scene, openers)
    for done in other:
        yield from done.result()


def _process(scene: Scene, process: Process, counters: Counters) -> tuple[Seen, Readings]:
    """Return how PROCESS is, and all that it alone can tell."""
    if process.is_zeo:
        seen = ask_server(scene, process)
        readings = tuple(server_readings(scene, seen, counters))
    else:
        seen = ask_replica(scene, process)
        readings = (*replica_readings(scene, seen), *clock_readings(scene, seen))
    return seen, (*process_readings(scene, seen), *readings)


def _opens_one(scene: Scene, process: Process) -> bool:
    """True if PROCESS is the one that opens a storage that is looked at."""
    openers = scene.local.openers
    return any(
        each.server.name == process.name
        if each.server is not None
        else openers.get(each.name) == process
        for each in scene.storages
    )


def _files(scene: Scene, openers: Mapping[str, Opener]) -> Iterator[Reading]:
    by_storage = scene.local.openers
    for storage in scene.storages:
        if scene.is_here(storage):
            process = by_storage.get(storage.name)
            opener = openers.get(process.name) if process is not None else None
            yield from file_readings(scene, storage, opener)


def _all(readings: Callable[..., Iterable[Reading]], *arguments: object) -> Readings:
    return tuple(readings(*arguments))
