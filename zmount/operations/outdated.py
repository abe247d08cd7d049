"""Which running processes have not read their generated files as they are now."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from zmount.effects.local_host import written_at
from zmount.effects.process_table import started_at
from zmount.errors import ProcessFailed
from zmount.operations.local_processes import LocalProcesses
from zmount.topology.hosts import Host
from zmount.topology.processes import Process
from zmount.topology.topology import Topology

# the kernel tells when a process started in ticks of 0.01 s, and a file's time by its last one
PRECISION_S = 0.05


def outdated(topology: Topology, host: Host) -> tuple[str, ...]:
    """Return the names of HOST's running processes that are older than a file of theirs.

    A process that its manager does not let us ask about is left out.
    """
    local = LocalProcesses(topology=topology, host=host)
    paths: dict[str, list[PurePosixPath]] = {}
    for file in local.files:
        for name in file.processes:
            paths.setdefault(name, []).append(file.path)
    return tuple(
        process.name
        for process in local.all
        if _is_older(local, process, paths.get(process.name, ()))
    )


def _is_older(local: LocalProcesses, process: Process, paths: Iterable[PurePosixPath]) -> bool:
    try:
        pid = local.manager.observe(process).pid
    except ProcessFailed:
        return False
    began = started_at(pid) if pid is not None else None
    if began is None:
        return False
    times = (written_at(path) for path in paths)
    return any(time is not None and time > began + PRECISION_S for time in times)
