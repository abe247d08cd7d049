"""The whole deployment, and how to find things in it by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Literal, Protocol, TypeVar

from zmount.errors import UnknownName
from zmount.topology.administrator import Administrator
from zmount.topology.health import AS_USUAL, HealthLimits
from zmount.topology.hosts import Host
from zmount.topology.instances import Instance, Replica
from zmount.topology.places import NOWHERE, Place
from zmount.topology.schedules import Mails, Schedule, Scheduler
from zmount.topology.sessions import SessionData
from zmount.topology.sites import Site
from zmount.topology.storages import Storage
from zmount.topology.zeo import ZeoServer

ProcessManager = Literal["zdaemon", "systemd", "supervisor"]


class _Named(Protocol):
    @property
    def name(self) -> str: ...


N = TypeVar("N", bound=_Named)


@dataclass(frozen=True, kw_only=True)
class Topology:
    """A deployment: every noun, each under a name that is unique in its kind.

    ``storages`` holds the implied ones too, roots included. ``manager`` says
    who keeps the processes alive. ``unit_directory`` is where systemd units go,
    ``unit_prefix`` what their names begin with. ``scheduler`` begins the
    schedules' jobs; ``crontab`` is where its file goes, None for its usual place.
    """

    file: str
    hosts: tuple[Host, ...]
    zeo_servers: tuple[ZeoServer, ...]
    storages: tuple[Storage, ...]
    sites: tuple[Site, ...]
    instances: tuple[Instance, ...]
    session: SessionData | None = None
    administrator: Administrator | None = None
    health: HealthLimits = AS_USUAL
    manager: ProcessManager = "zdaemon"
    unit_directory: PurePosixPath | None = None
    unit_prefix: str = "zmount"
    schedules: tuple[Schedule, ...] = ()
    scheduler: Scheduler = "crontab"
    crontab: PurePosixPath | None = None
    mails: Mails = Mails()
    place: Place = field(default=NOWHERE, compare=False, repr=False)

    def host(self, name: str) -> Host:
        """Return the host called NAME.

        :raises UnknownName: with the nearest names that exist
        """
        return _find(self._hosts, name, "host")

    def zeo_server(self, name: str) -> ZeoServer:
        """Return the ZEO server called NAME, or raise :class:`UnknownName`."""
        return _find(self._zeo_servers, name, "ZEO server")

    def storage(self, name: str) -> Storage:
        """Return the storage called NAME, or raise :class:`UnknownName`."""
        return _find(self._storages, name, "storage")

    def site(self, name: str) -> Site:
        """Return the site called NAME, or raise :class:`UnknownName`."""
        return _find(self._sites, name, "site")

    def instance(self, name: str) -> Instance:
        """Return the instance called NAME, or raise :class:`UnknownName`."""
        return _find(self._instances, name, "instance")

    def schedule(self, name: str) -> Schedule:
        """Return the schedule called NAME, or raise :class:`UnknownName`."""
        return _find(_by_name(self.schedules), name, "schedule")

    def storages_of(self, server: ZeoServer) -> tuple[Storage, ...]:
        """Return what SERVER serves, in the order of the file."""
        return self._served.get(server.name, ())

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """Every Zope process of every instance."""
        return tuple(replica for instance in self.instances for replica in instance.replicas)

    @cached_property
    def _hosts(self) -> Mapping[str, Host]:
        return _by_name(self.hosts)

    @cached_property
    def _zeo_servers(self) -> Mapping[str, ZeoServer]:
        return _by_name(self.zeo_servers)

    @cached_property
    def _storages(self) -> Mapping[str, Storage]:
        return _by_name(self.storages)

    @cached_property
    def _sites(self) -> Mapping[str, Site]:
        return _by_name(self.sites)

    @cached_property
    def _instances(self) -> Mapping[str, Instance]:
        return _by_name(self.instances)

    @cached_property
    def _served(self) -> Mapping[str, tuple[Storage, ...]]:
        served: dict[str, list[Storage]] = {}
        for storage in self.storages:
            if storage.server is not None:
                served.setdefault(storage.server.name, []).append(storage)
        return {name: tuple(storages) for name, storages in served.items()}


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a hint that names what NAME may have been meant to be, or ""."""
    close = difflib.get_close_matches(name, list(names), n=3)
    return "did you mean " + " or ".join(close) + "?" if close else ""


def _by_name(nouns: Iterable[N]) -> dict[str, N]:
    return {noun.name: noun for noun in nouns}


def _find(nouns: Mapping[str, N], name: str, kind: str) -> N:
    try:
        return nouns[name]
    except KeyError:
        known = ", ".join(list(nouns)[:10]) + (", ..." if len(nouns) > 10 else "")
        raise UnknownName(
            f"there is no {kind} {name!r}",
            hint=nearest(name, nouns) or (f"one of {known}" if nouns else ""),
        ) from None
