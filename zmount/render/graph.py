"""What every drawing of a topology shows: storages in their groups, mounts as edges."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zmount.topology.hosts import Host
from zmount.topology.instances import Instance, Kind
from zmount.topology.mounts import MountPoint
from zmount.topology.storages import Role, Storage
from zmount.topology.topology import Topology
from zmount.topology.zeo import ZeoServer

# Okabe and Ito's palette, darkened where 3:1 against white asks for it: colour-blind
# people tell these apart. Nothing is said by colour alone.
KIND_COLOURS: dict[Kind, str] = {
    "development": "#0072b2",
    "public": "#b54a00",
    "admin": "#a04484",
}
ROLE_COLOURS: dict[Role, str] = {
    "production": "#007f5f",
    "staging": "#8a6000",
    "session": "#a04484",
    "root": "#5b6470",
    "plain": "#0072b2",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One mount point of an instance, and the storage that it shows."""

    instance: Instance
    storage: Storage
    point: MountPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageGroup:
    """Storages that one ZEO server serves, or that instances open themselves.

    ``server`` is None for the latter; ``opened_by`` then names the instances,
    and is empty for a ZEO server's group.
    """

    server: ZeoServer | None
    host: Host
    opened_by: tuple[str, ...]
    storages: tuple[Storage, ...]

    @property
    def title(self) -> str:
        """What the group is, in a word or two."""
        if self.server is not None:
            return f"ZEO server {self.server.name}"
        return f"opened by {' and '.join(self.opened_by)}" if self.opened_by else "not mounted"


def edges(topology: Topology) -> Iterator[Edge]:
    """Yield every mount point of every instance, in the order of the file."""
    for instance in topology.instances:
        for mount in instance.mounts:
            for point in mount.points:
                yield Edge(instance=instance, storage=mount.storage, point=point)


def storage_groups(topology: Topology) -> tuple[StorageGroup, ...]:
    """Return all storages, the ZEO servers' groups first."""
    users: dict[str, dict[str, None]] = {}
    for edge in edges(topology):
        users.setdefault(edge.storage.name, {})[edge.instance.name] = None
    groups = [
        StorageGroup(
            server=server, host=server.host, opened_by=(), storages=topology.storages_of(server)
        )
        for server in topology.zeo_servers
    ]
    unserved: dict[tuple[str, tuple[str, ...]], list[Storage]] = {}
    for storage in topology.storages:
        if storage.server is None:
            key = storage.host.name, tuple(users.get(storage.name, ()))
            unserved.setdefault(key, []).append(storage)
    groups += [
        StorageGroup(server=None, host=found[0].host, opened_by=names, storages=tuple(found))
        for (_, names), found in unserved.items()
    ]
    return tuple(groups)


def hosts_of(instance: Instance) -> str:
    """Return where INSTANCE runs and in how many processes, for a label."""
    names = ", ".join(host.name for host in instance.hosts)
    number = len(instance.replicas)
    return f"{names} ({number} processes)" if number > 1 else names
