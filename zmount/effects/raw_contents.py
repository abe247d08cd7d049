"""What the storages of many mounts hold, each opened once, and those on ZEO side by side."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from zmount.effects.answers import Answer, ask_zeo
from zmount.effects.raw_records import RawDatabase
from zmount.effects.raw_roots import Content, content_at
from zmount.effects.raw_storages import (
    data_fs,
    is_in_memory,
    open_records,
    zeo_addresses,
    zeo_records,
)
from zmount.errors import StorageUnreadable
from zmount.topology.addresses import Address
from zmount.topology.instances import Replica
from zmount.topology.mounts import Mount, MountPoint
from zmount.topology.zeo import Tls

CONNECTIONS = 8  # to ZEO servers at a time
TIMEOUT_S = 2.0  # for all servers together: they are asked side by side


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """What the ZEO servers of mounts said when they were asked, each once.

    ``why_not`` tells of a mount why its instance has no connection.
    """

    answers: Mapping[Address, Answer] = field(default_factory=dict)

    def why_not(self, mount: Mount, replica: Replica) -> str:
        """Return why REPLICA cannot have a connection to MOUNT's storage; "" if it can."""
        addresses = zeo_addresses(mount, replica)
        answers = [self.answers[address] for address in addresses if address in self.answers]
        if not answers:
            return ""
        server = mount.storage.server
        name = server.name if server is not None else str(addresses[0])
        up = [answer for answer in answers if answer.is_answering]
        if not up:
            return f"the ZEO server {name} at {addresses[0]} does not answer: {answers[0].detail}"
        said = [answer.clients for answer in up if answer.clients is not None]
        if said and not any(mount.storage.zeo_name in clients for clients in said):
            return f"the ZEO server {name} runs, but does not serve {mount.storage.zeo_name}"
        return ""

    def is_served(self, mount: Mount, replica: Replica) -> bool:
        """True if MOUNT's storage can be read through its ZEO server."""
        return bool(zeo_addresses(mount, replica)) and not self.why_not(mount, replica)


def ask_servers(
    mounts: Iterable[tuple[Mount, Replica]], *, timeout_s: float = TIMEOUT_S
) -> Servers:
    """Ask each ZEO server of MOUNTS how it is, all side by side."""
    tls: dict[Address, Tls | None] = {}
    for mount, replica in mounts:
        for address in zeo_addresses(mount, replica):
            tls.setdefault(address, _client_tls(mount, replica))
    if not tls:
        return Servers()
    with ThreadPoolExecutor(len(tls), "ask") as threads:
        answers = threads.map(lambda each: ask_zeo(*each, timeout_s=timeout_s), tls.items())
        return Servers(answers=dict(zip(tls, answers, strict=True)))


class Contents:
    """What mounted storages hold where their mount points expect it; each is read once.

    Instances that mount the same storages share what was found.
    """

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        self._found: dict[_Place, Content] = {}

    def of(self, replica: Replica) -> Mapping[str, Content]:
        """Return what REPLICA's mounted storages hold, by mount point.

        Those whose files are here are read from them, the others through their servers.
        What cannot be read is ``damaged`` or ``unknown``.
        """
        mounts = [mount for mount in replica.instance.mounts if not mount.is_root]
        local = [mount for mount in mounts if data_fs(mount, replica) is not None]
        here = {mount.name for mount in local}
        served = [
            mount
            for mount in mounts
            if mount.name not in here
            and not is_in_memory(mount)
            and self._servers.is_served(mount, replica)
        ]
        contents: dict[str, Content] = {}
        with ThreadPoolExecutor(CONNECTIONS, "read") as threads:
            reading = [threads.submit(self._of, mount, replica, False) for mount in served]
            for mount in local:
                contents |= self._of(mount, replica, True)
            for each in reading:
                contents |= each.result()
        return contents

    def _of(self, mount: Mount, replica: Replica, is_here: bool) -> dict[str, Content]:
        places = {point.virtual: _place(mount, point, replica, is_here) for point in mount.points}
        if not all(place in self._found for place in places.values()):
            found = _contents(mount, replica, is_here)
            self._found.update((place, found[virtual]) for virtual, place in places.items())
        return {virtual: self._found[place] for virtual, place in places.items()}


# a storage, the way to it, and a place in it: who asks for the same gets the same
_Place = tuple[str, tuple[Address, ...], str, str]


def _place(mount: Mount, point: MountPoint, replica: Replica, is_here: bool) -> _Place:
    way = () if is_here else zeo_addresses(mount, replica)
    return mount.storage.name, way, point.root, point.real


def _contents(mount: Mount, replica: Replica, is_here: bool) -> dict[str, Content]:
    try:
        database = _opened(mount, replica, is_here)
        try:
            return {point.virtual: content_at(database, point) for point in mount.points}
        finally:
            database.close()
    except StorageUnreadable as why:
        content = Content(state="damaged", detail=str(why), hint=why.hint)
        return {point.virtual: content for point in mount.points}


def _opened(mount: Mount, replica: Replica, is_here: bool) -> RawDatabase:
    storage = mount.storage
    if is_here:
        return RawDatabase(open_records(storage), storage.name)
    addresses = zeo_addresses(mount, replica)
    tls = replica.local_tls(mount.tls) if mount.tls is not None else None
    return RawDatabase(zeo_records(storage, addresses, tls), storage.name)


def _client_tls(mount: Mount, replica: Replica) -> Tls | None:
    if mount.tls is not None:
        return replica.local_tls(mount.tls)
    return mount.storage.server.tls if mount.storage.server is not None else None
