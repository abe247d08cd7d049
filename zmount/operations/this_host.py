"""Which host of the topology this machine is."""

from __future__ import annotations

from zmount.effects.machine import is_own_address, machine_names
from zmount.errors import UnknownName
from zmount.topology.hosts import Host
from zmount.topology.topology import Topology


def this_host(topology: Topology, said: str | None = None) -> Host:
    """Return the host SAID, or the one whose name or address is this machine's.

    A topology with one host is always this machine's.

    :raises UnknownName: it is none of them, or more than one
    """
    if said is not None:
        return topology.host(said)
    if len(topology.hosts) == 1:
        return topology.hosts[0]
    mine = machine_names()
    found = [
        host
        for host in topology.hosts
        if host.name in mine or host.address in mine or is_own_address(host.address)
    ]
    if len(found) == 1:
        return found[0]
    names = ", ".join(host.name for host in topology.hosts)
    raise UnknownName(
        f"this machine is {'none' if not found else 'more than one'} of the hosts {names}",
        hint=f"--host {topology.hosts[0].name}",
    )
