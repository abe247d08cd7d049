"""Which processes a command line means."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from zmount.errors import UnknownName
from zmount.topology.hosts import Host
from zmount.topology.instances import Replica
from zmount.topology.processes import Process, processes
from zmount.topology.topology import Topology, nearest


def named_processes(
    topology: Topology, host: Host, names: Iterable[str], *, jobs: Collection[str] = ()
) -> tuple[Process, ...]:
    """Return the processes on HOST that NAMES mean, in the order of starting.

    A name is a process', a ZEO server's, or an instance's: then it means all of
    its replicas on HOST. Those of JOBS are not for us.

    :raises UnknownName: a name means nothing, or something on another host
    """
    everywhere = processes(topology)
    here = tuple(process for process in everywhere if process.host.name == host.name)
    meant: set[str] = set()
    for name in names:
        found = _meant(name, here)
        if not found and name not in jobs:
            raise _unknown(name, everywhere, host, jobs)
        meant.update(process.name for process in found)
    return tuple(process for process in here if process.name in meant)


def with_needed(chosen: Sequence[Process], here: Iterable[Process]) -> tuple[Process, ...]:
    """Return CHOSEN and those processes of the same host that they need first."""
    needed = {name for process in chosen for name in process.after}
    wanted = {process.name for process in chosen} | needed
    return tuple(process for process in here if process.name in wanted)


def _meant(name: str, among: Iterable[Process]) -> tuple[Process, ...]:
    return tuple(process for process in among if name in (process.name, noun_name(process)))


def noun_name(process: Process) -> str:
    """Return the name of the ZEO server or instance that PROCESS is, or is one of."""
    return process.noun.instance.name if isinstance(process.noun, Replica) else process.name


def _unknown(
    name: str, everywhere: tuple[Process, ...], host: Host, jobs: Collection[str]
) -> UnknownName:
    elsewhere = _meant(name, everywhere)
    if elsewhere:
        other = elsewhere[0].host.name
        return UnknownName(
            f"{name} runs on host {other}, not on {host.name}",
            hint=f"zmount --host {other}, on that machine",
        )
    names = {process.name for process in everywhere} | {noun_name(p) for p in everywhere}
    names |= set(jobs)
    kinds = "ZEO server, instance or job" if jobs else "ZEO server or instance"
    return UnknownName(
        f"there is no {kinds} {name!r}",
        hint=nearest(name, names) or f"one of {', '.join(sorted(names))}",
    )
