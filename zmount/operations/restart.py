"""Stop and start again.

1. choose: what is named, or everything that runs on this host.
2. stop:   in reverse order.
3. start:  in order. A ZEO server alone may be restarted under its instances:
   they connect again.
"""

from __future__ import annotations

from collections.abc import Iterable

from zmount.effects.apply import recover
from zmount.effects.lock import locked
from zmount.operations.changes import Change, Watcher
from zmount.operations.changes_recorded import changes_recorded
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.process_names import named_processes, with_needed
from zmount.operations.start import start_processes
from zmount.operations.status import observe_process
from zmount.operations.stop import stop_processes
from zmount.topology.hosts import Host
from zmount.topology.topology import Topology


def restart(
    topology: Topology, host: Host, names: Iterable[str], watch: Watcher
) -> tuple[Change, ...]:
    """Restart the processes NAMES on HOST, running or not; or all that run.

    What could not be stopped is not started. Failures are in the result.

    :raises UnknownName: there is no such process on HOST
    :raises Locked: another zmount is at work on this deployment
    """
    local = LocalProcesses(topology=topology, host=host)
    named = named_processes(topology, host, names)
    with changes_recorded(local, "restart", named) as tell, locked(host.directory) as state:
        recover(state)
        chosen = named or tuple(
            process
            for process in local.all
            if observe_process(process, local).state not in ("stopped", "foreign")
        )
        stopped = stop_processes(local, chosen, watch)
        failed = {change.process.name for change in stopped if change.error is not None}
        startable = [process for process in chosen if process.name not in failed]
        started = start_processes(local, with_needed(startable, local.all), watch)
        return tell(stopped + started)
