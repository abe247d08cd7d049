"""What an adopted deployment consists of, as its own files say it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from zmount.topology.options import Options
from zmount.topology.places import NOWHERE, Place
from zmount.topology.sections import RawSection
from zmount.topology.storages import PACKER, STOCK_PACKER


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """How a process is kept alive: what a ``<runner>`` says.

    ``venv`` is the virtual environment of its program, "" if that is not seen.
    """

    venv: str = ""
    user: str = ""
    options: Options = Options()
    environment: Options = Options()
    environment_place: Place = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Logging:
    """Where a process logs; ``raw`` is an ``<eventlog>`` that no <log> can say."""

    path: str = ""
    options: Options = Options()
    raw: RawSection | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A storage of a ZEO server, called ``served_as`` by its clients.

    ``name`` is what zmount calls it, which is unique in the deployment.
    """

    name: str
    served_as: str
    server: str
    section: RawSection


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A ZEO server, from its zeo.conf. ``address`` is as it was written."""

    name: str
    directory: PurePosixPath
    address: str
    keys: Options
    ssl: RawSection | None
    log: Logging
    running: Running
    storages: tuple[RawSection, ...]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A ``<zeoclient>`` or ``<clientstorage>`` section.

    ``asks_for`` is the storage's name. ``keys`` are its other living keys.
    """

    type: str
    servers: tuple[str, ...]
    asks_for: str
    keys: Options
    ssl: RawSection | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """A ``<zodb_db>``; ``client`` is None where its storage is not on ZEO."""

    name: str
    points: tuple[str, ...]
    container_class: str
    keys: Options
    storage: RawSection
    client: Client | None
    place: Place

    @property
    def is_root(self) -> bool:
        """True if it is what Zope shows at ``/``."""
        return any(point.partition(":")[0] == "/" for point in self.points)


@dataclass(frozen=True, slots=True, kw_only=True)
class Http:
    """How a Zope speaks HTTP, from zope.ini or from an old zope.conf.

    ``address`` is "" where neither says it. ``ini`` are the sections of
    zope.ini that zmount does not write by itself.
    """

    address: str = ""
    threads: str = ""
    waitress: Options = Options()
    pipeline: tuple[str, ...] = ()
    ini: tuple[RawSection, ...] = ()
    log: Logging = Logging()
    access_log: Logging = Logging()


@dataclass(frozen=True, slots=True, kw_only=True)
class Zope:
    """A Zope instance, from its zope.conf and what stands beside it."""

    name: str
    directory: PurePosixPath
    keys: Options
    databases: tuple[Database, ...]
    environment: Options
    dos_protection: Options
    product_config: tuple[RawSection, ...]
    unknown: tuple[RawSection, ...]
    http: Http
    running: Running
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """All of it. ``directory`` is what most of it lies in.

    ``venv`` is where ZEO and Zope are installed, "" if nobody knows; ``user``
    is whom all processes run as, "" if they differ or do not say.
    """

    directory: PurePosixPath
    venv: str
    user: str
    servers: tuple[Server, ...]
    zopes: tuple[Zope, ...]
    imports: tuple[str, ...]

    @property
    def packer(self) -> str:
        """What the top says of packers: zmount's if all files name it, else FileStorage's own."""
        served = (storage for server in self.servers for storage in server.storages)
        opened = (database.storage for zope in self.zopes for database in zope.databases)
        sections = [each for each in (*served, *opened) if each.type in ("filestorage", "stage")]
        names_it = [each.get("packer") == PACKER for each in sections]
        return PACKER if all(names_it) else STOCK_PACKER
