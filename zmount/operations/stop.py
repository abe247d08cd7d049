"""Stop instances, then ZEO servers, cleanly.

1. choose: what is named, or everything of this host.
2. refuse to take a ZEO server away from instances that go on running.
3. stop:   in reverse order, each with the signal that lets it save its index,
   and wait until it is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from zmount.effects.clock import Stopwatch
from zmount.effects.lock import locked
from zmount.effects.process_manager import stop_timeout_s
from zmount.effects.process_table import keeper
from zmount.effects.signals import end
from zmount.errors import ProcessFailed, ZMountError
from zmount.operations.changes import Change, Watcher
from zmount.operations.changes_recorded import changes_recorded
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.lost_files import refuse_lost_files
from zmount.operations.process_names import named_processes
from zmount.operations.status import observe_process
from zmount.topology.hosts import Host
from zmount.topology.processes import Process
from zmount.topology.topology import Topology


def stop(
    topology: Topology, host: Host, names: Iterable[str], watch: Watcher, *, force: bool = False
) -> tuple[Change, ...]:
    """Stop the processes NAMES on HOST, or all of them.

    Failures are in the result, not raised. With FORCE a ZEO server is stopped
    although instances that use it go on; they wait until it comes back. And any process
    although its Data.fs was replaced under it.

    :raises UnknownName: there is no such process on HOST
    :raises ProcessFailed: running instances need a ZEO server that is named
    :raises Locked: another zmount is at work on this deployment
    """
    local = LocalProcesses(topology=topology, host=host)
    chosen = named_processes(topology, host, names) or local.all
    with changes_recorded(local, "stop", chosen) as tell, locked(host.directory):
        if not force:
            _must_not_be_needed(local, chosen)
        return tell(stop_processes(local, chosen, watch, force=force))


def stop_processes(
    local: LocalProcesses, chosen: Sequence[Process], watch: Watcher, *, force: bool = False
) -> tuple[Change, ...]:
    """Stop CHOSEN, the last first; the caller holds the deployment's lock.

    One whose Data.fs was replaced under it is only stopped with FORCE: what it has committed
    since is lost with it.
    """
    changes: list[Change] = []
    for process in reversed(chosen):
        watch(process)
        change = _stop(local, process, force=force)
        watch(change)
        changes.append(change)
    return tuple(changes)


def _stop(local: LocalProcesses, process: Process, *, force: bool) -> Change:
    stopwatch = Stopwatch()
    try:
        seen = observe_process(process, local)
        if seen.pid is not None and not force:
            refuse_lost_files(local, process, seen.pid)
        if seen.state == "unmanaged" and seen.pid is not None:
            _must_stay_ended(process, seen.pid)
            if not end(seen.pid, process.stop_signal, stop_timeout_s(process)):
                raise ProcessFailed(
                    f"{process.name}: pid {seen.pid} does not end, and has no manager to kill it",
                    hint=f"kill -9 {seen.pid}",
                )
            is_clean = True
        elif seen.state in ("stopped", "foreign"):
            return Change(process=process, done="was not running")
        else:
            is_clean = local.manager.stop(process)
    except ZMountError as error:
        return Change(process=process, done="failed", seconds=stopwatch.seconds, error=error)
    return Change(
        process=process,
        done="stopped" if is_clean else "killed",
        seconds=stopwatch.seconds,
        pid=seen.pid,
    )


def _must_stay_ended(process: Process, pid: int) -> None:
    """Refuse to end process PID under a supervisord that is not the topology's any more.

    A zdaemon ends with its process.
    """
    by = keeper(pid)
    if by is not None and any("supervisord" in word for word in by.command):
        raise ProcessFailed(
            f"{process.name}: {by} keeps it, and would start it again",
            hint=f"kill {by.pid} ends that cleanly, with all that it keeps",
        )


def _must_not_be_needed(local: LocalProcesses, chosen: Sequence[Process]) -> None:
    names = {process.name for process in chosen}
    for server in (process for process in chosen if process.is_zeo):
        users = [
            process.name
            for process in local.all
            if server.name in process.after
            and process.name not in names
            and observe_process(process, local).is_up
        ]
        if users:
            raise ProcessFailed(
                f"{server.name} is not stopped: {', '.join(users)} would wait for it and answer "
                "nothing",
                hint=f"zmount stop {' '.join([*users, *sorted(names)])}; or --force",
            )
