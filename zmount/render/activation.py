"""The one command by which an administrator lets a host's jobs begin."""

from __future__ import annotations

from zmount.render.crontab import crontab_activation
from zmount.render.timers import timer_activation
from zmount.topology.hosts import Host
from zmount.topology.topology import Topology


def activation(topology: Topology, host: Host, *, is_root: bool = False) -> str:
    """Return the command that makes cron or systemd know HOST's schedules; "": none is needed.

    IS_ROOT: root's timers are the system's, though no process has a user.
    """
    if not any(schedule.is_on(host) for schedule in topology.schedules):
        return ""
    if topology.scheduler == "systemd":
        return timer_activation(topology, host, is_root=is_root)
    return crontab_activation(topology, host)
