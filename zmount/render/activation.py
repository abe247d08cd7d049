"""The one command by which an administrator lets a host's jobs begin."""

from __future__ import annotations

from zmount.render.crontab import crontab_activation
from zmount.render.timers import timer_activation
from zmount.topology.hosts import Host
from zmount.topology.topology import Topology


def activation(topology: Topology, host: Host) -> str:
    """Return the command that makes cron or systemd know HOST's schedules; "": none is needed."""
    if not any(schedule.is_on(host) for schedule in topology.schedules):
        return ""
    make = timer_activation if topology.scheduler == "systemd" else crontab_activation
    return make(topology, host)
