"""The part of a deployment that concerns one host."""

from __future__ import annotations

from dataclasses import replace

from zmount.topology.hosts import Host
from zmount.topology.topology import Topology


def part_of(topology: Topology, host: Host) -> Topology:
    """Return what runs on HOST, with every storage that it keeps, serves or mounts.

    ZEO servers elsewhere stay where a storage of the part needs them, and so do
    the hosts that these are on.
    """
    instances = tuple(
        instance for instance in topology.instances if host.name in _names(instance.hosts)
    )
    wanted = {mount.storage.name for instance in instances for mount in instance.mounts}
    storages = tuple(
        storage
        for storage in topology.storages
        if storage.host.name == host.name or storage.name in wanted
    )
    needed = {storage.server.name for storage in storages if storage.server is not None}
    servers = tuple(
        server
        for server in topology.zeo_servers
        if server.host.name == host.name or server.name in needed
    )
    names = {storage.name for storage in storages}
    hosts = {host.name} | {server.host.name for server in servers}
    session = topology.session
    return replace(
        topology,
        hosts=tuple(each for each in topology.hosts if each.name in hosts),
        zeo_servers=servers,
        storages=storages,
        sites=tuple(
            site
            for site in topology.sites
            if any(storage.name in names for storage in site.storages)
        ),
        instances=instances,
        session=session if session is not None and session.storage.name in names else None,
    )


def _names(hosts: tuple[Host, ...]) -> set[str]:
    return {host.name for host in hosts}
