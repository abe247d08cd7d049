"""Start one instance with mounts that its section does not name.

1. refuse: it must not run yet, and nothing may wait to be applied for others.
2. apply:  its own files, with what is added; and those that no process reads.
3. start:  as always.

The next apply takes the addition back.
"""

from __future__ import annotations

from zmount.errors import ApplyRefused, ProcessFailed
from zmount.operations.apply import Wish, apply
from zmount.operations.changes import Change, Watcher
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.plan_host import plan_host, what_is_wanted
from zmount.operations.process_names import named_processes
from zmount.operations.start import start
from zmount.operations.status import observe_process
from zmount.topology.hosts import Host
from zmount.topology.topology import Topology


def start_extra(
    topology: Topology, host: Host, instance: str, watch: Watcher
) -> tuple[Change, ...]:
    """Start INSTANCE on HOST as TOPOLOGY has it, which was loaded with an addition to it.

    :raises UnknownName: there is no such instance on HOST
    :raises ProcessFailed: it runs already
    :raises ApplyRefused: zmount.conf has changes for others that are not applied
    """
    chosen = named_processes(topology, host, [instance])
    local = LocalProcesses(topology=topology, host=host)
    running = [
        process.name
        for process in chosen
        if observe_process(process, local).state not in ("stopped", "foreign")
    ]
    if running:
        raise ProcessFailed(
            f"{' and '.join(running)} runs already, with other mounts",
            hint=f"zmount stop {instance}",
        )
    names = {process.name for process in chosen}
    steps = plan_host(what_is_wanted(topology, host)).file_steps
    others = [step.path for step in steps if set(step.processes) - names]
    if others:
        raise ApplyRefused(
            f"{topology.file} has more to apply than {instance}: {others[0]}"
            + (f" and {len(others) - 1} more" if len(others) > 1 else ""),
            hint="zmount apply",
        )
    apply(topology, host, Wish(prepares=False), lambda _: None)
    return start(topology, host, [instance], watch)
