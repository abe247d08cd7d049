"""Which process manager a topology says."""

from __future__ import annotations

from zmount.effects.process_manager import ProcessManager
from zmount.effects.supervisor import Supervisor
from zmount.effects.systemd import Systemd
from zmount.effects.zdaemon import Zdaemon
from zmount.topology.hosts import Host
from zmount.topology.topology import Topology


def manager_of(topology: Topology, host: Host) -> ProcessManager:
    """Return what keeps the processes of HOST alive."""
    if topology.manager == "systemd":
        return Systemd()
    return Supervisor(host) if topology.manager == "supervisor" else Zdaemon()
