"""Start ZEO servers, then instances.

1. choose: what is named, or all that starts by itself; and the ZEO servers of
   this host that those need.
2. check:  each that does not run yet: its program, its files, its address.
3. prepare: an instance's root must have its mount points before it opens it, and
   the index of each storage that a process opens must be that storage's own.
4. start:  one after the other; each must answer before those that need it
   are started. A failure stops only those that need the one that failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from zmount.effects.apply import recover
from zmount.effects.clock import Stopwatch
from zmount.effects.diagnosis import before_start
from zmount.effects.lock import locked
from zmount.effects.process_manager import Written
from zmount.errors import (
    EnvironmentMissing,
    PrepareFailed,
    StorageUnreadable,
    ZMountError,
)
from zmount.operations.changes import Change, Watcher
from zmount.operations.changes_recorded import changes_recorded
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.needed_servers import must_have_its_servers
from zmount.operations.prepare import prepare
from zmount.operations.process_names import named_processes, with_needed
from zmount.operations.start_indexes import ready_indexes
from zmount.operations.starting import must_be_startable, outdated_files, wait_for_answer
from zmount.operations.status import observe_process
from zmount.topology.hosts import Host
from zmount.topology.processes import Process
from zmount.topology.topology import Topology


def start(
    topology: Topology, host: Host, names: Iterable[str], watch: Watcher
) -> tuple[Change, ...]:
    """Start the processes NAMES on HOST, or all that start by themselves.

    Those that run already are left alone. Failures are in the result, not
    raised: what was started before stays up.

    :raises UnknownName: there is no such process on HOST
    :raises Locked: another zmount is at work on this deployment
    """
    local = LocalProcesses(topology=topology, host=host)
    chosen = named_processes(topology, host, names) or tuple(
        process for process in local.all if process.autostart
    )
    wanted = with_needed(chosen, local.all)
    with changes_recorded(local, "start", chosen) as tell, locked(host.directory) as state:
        recover(state)  # what runs must not read half of what an interrupted apply wrote
        return tell(start_processes(local, wanted, watch))


def start_processes(
    local: LocalProcesses, chosen: Sequence[Process], watch: Watcher
) -> tuple[Change, ...]:
    """Start CHOSEN in their order; the caller holds the deployment's lock."""
    changes: list[Change] = []
    for process in chosen:
        watch(process)
        change = _start(local, process, changes)
        watch(change)
        changes.append(change)
    return tuple(changes)


def _start(local: LocalProcesses, process: Process, before: Sequence[Change]) -> Change:
    stopwatch = Stopwatch()
    written: Written | None = None
    try:
        seen = observe_process(process, local)
        if seen.state == "running":
            return Change(process=process, done="was running", pid=seen.pid, detail=seen.detail)
        must_have_its_servers(local, process, before)
        must_be_startable(seen, local)
        if seen.state == "restarting":
            local.manager.stop(process)  # it dies again and again: begin anew, and say why
        notes = () if seen.state == "starting" else _prepare(local, process)
        written = before_start(process)
        if seen.state != "starting":
            local.manager.start(process)
        pid, answer = wait_for_answer(process, written, local)
    except ZMountError as error:
        return Change(
            process=process,
            done="failed",
            seconds=stopwatch.seconds,
            error=error,
            # they may be why it died; what was not even tried has its reason already
            warnings=outdated_files(process, local) if written is not None else (),
        )
    return Change(
        process=process,
        done="started",
        seconds=stopwatch.seconds,
        pid=pid,
        detail=answer.detail,
        notes=notes,
        warnings=outdated_files(process, local),
    )


def _prepare(local: LocalProcesses, process: Process) -> tuple[str, ...]:
    """Put indexes right, and an instance's root; return what was done, or why not.

    An instance whose root is not as it should be is started all the same: to be
    up with a mount less is better than to be down.
    """
    indexed = ready_indexes(local.topology, process)
    if process.is_zeo:
        return indexed
    try:
        prepared = prepare(local.topology, local.host, names=[process.name])
    except (PrepareFailed, StorageUnreadable, EnvironmentMissing) as error:
        return (*indexed, f"its root could not be prepared: {error}")
    is_news = prepared.is_changed or not prepared.is_complete
    return (*indexed, *str(prepared).splitlines()) if is_news else indexed
