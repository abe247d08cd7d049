"""Which ZEO server's storage a database is, and what its client says."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from zmount.errors import AdoptError, TopologyError
from zmount.topology.addresses import LOOPBACK, Address, parse_address
from zmount.topology.adopt.conf_files import keys_of
from zmount.topology.adopt.found import Client, Database, Served, Server, Zope
from zmount.topology.adopt.hoisting import Said
from zmount.topology.adopt.naming import within
from zmount.topology.adopt.notes import Notes
from zmount.topology.mounts import CLIENTSTORAGE_ONLY
from zmount.topology.options import Secret, Value
from zmount.topology.places import Place
from zmount.topology.sections import RawSection

# ZEO's own default; saying it makes zmount write <clientstorage>.
_CLIENTSTORAGE = ("wait-timeout", ("30",))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounted:
    """A database, and what zmount calls its storage.

    ``served`` is None where the instance opens the storage itself. ``client``
    are the settings that the mount must come to, ``implied`` those that it has
    where nothing is said; both are empty without ``served``.
    """

    database: Database
    storage: str
    served: Served | None
    client: Said
    implied: Said
    ssl: RawSection | None = None


def mounted(
    zope: Zope, servers: tuple[Server, ...], served: tuple[Served, ...], notes: Notes
) -> tuple[Mounted, ...]:
    """Return what ZOPE mounts, each mount with its storage."""
    found = []
    for database in zope.databases:
        storage = None
        if database.client is not None:
            storage = _asked_for(database, database.client, servers, served, notes)
        if storage is None or database.client is None:
            name = f"root/{zope.name}" if database.is_root else f"{zope.name}/{database.name}"
            found.append(
                Mounted(database=database, storage=name, served=None, client={}, implied={})
            )
            continue
        server = next(server for server in servers if server.name == storage.server)
        found.append(_client_mount(zope, database, storage, server))
    return tuple(found)


def bound(server: Server) -> Address:
    """Return where SERVER listens, as ZEO reads its address.

    :raises AdoptError: it is none
    """
    try:
        return parse_address(server.address, default_host="")
    except TopologyError as why:
        raise AdoptError(f"{server.place.of('address')}: {why}", hint=why.hint) from None


def _asked_for(
    database: Database,
    client: Client,
    servers: tuple[Server, ...],
    served: tuple[Served, ...],
    notes: Notes,
) -> Served | None:
    """Return the storage that CLIENT asks for; None where no server has it."""
    place = database.storage.place
    server = _server_of(client, servers, place, notes)
    if server is None:
        notes.say(
            "unknown-server",
            place.of("server"),
            f"<{client.type}> of {database.name} is kept in <storage> as it is",
            why=f"no given zeo.conf listens on {' or '.join(client.servers)}",
            hint="name its zeo.conf too, and zmount knows the server",
        )
        return None
    mine = {storage.served_as: storage for storage in served if storage.server == server.name}
    if client.asks_for in mine:
        return mine[client.asks_for]
    lowered = client.asks_for.lower()
    if lowered in mine:
        notes.say(
            "upper-case-storage",
            place.of("storage"),
            f"storage {client.asks_for} became {lowered}",
            why=f"{server.name} serves {lowered}: ZConfig lowered the name in zeo.conf, so this "
            "mount never connected",
        )
        return mine[lowered]
    notes.say(
        "unknown-storage",
        place.of("storage"),
        f"<{client.type}> of {database.name} is kept in <storage> as it is",
        why=f"{server.name} serves no storage {client.asks_for}: the instance would not start",
    )
    return None


def _server_of(
    client: Client, servers: tuple[Server, ...], place: Place, notes: Notes
) -> Server | None:
    for text in client.servers:
        address = _connected(text, place)
        sure = [server for server in servers if _is_same(bound(server), address)]
        if len(sure) == 1:
            return sure[0]
        # a server that listens everywhere may well be the one on that host
        likely = [
            server
            for server in servers
            if bound(server).is_everywhere and bound(server).port == address.port
        ]
        if not sure and len(likely) == 1 and address.socket is None:
            notes.say(
                "assumed-server",
                place.of("server"),
                f"server {text} is taken to be {likely[0].name}",
                why="it listens on this port of every interface",
                hint="if it runs on another host, describe both as <host>",
            )
            return likely[0]
    return None


def _connected(text: str, place: Place) -> Address:
    try:
        address = parse_address(text, default_host="127.0.0.1")
        return replace(address, host=address.host or "127.0.0.1") if address.port else address
    except TopologyError as why:
        raise AdoptError(f"{place.of('server')}: {why}", hint=why.hint) from None


def _is_same(server: Address, client: Address) -> bool:
    if server.socket is not None or client.socket is not None:
        return server.socket == client.socket
    if server.port != client.port:
        return False
    if server.host.lower() == client.host.lower():
        return True
    is_local = server.is_everywhere or server.host in LOOPBACK
    return is_local and client.host in LOOPBACK


def _client_mount(zope: Zope, database: Database, storage: Served, server: Server) -> Mounted:
    client = database.client
    assert client is not None  # storage was found through it
    implied: dict[str, tuple[Value, ...]] = {"client-label": (zope.name,)}
    wanted: dict[str, tuple[Value, ...]] = {"client-label": ("unset",), "blob-dir": ("none",)}
    wanted |= {
        key: _templated(key, values, zope.directory, storage.name)
        for key, values in client.keys.items_
    }
    if _connects_elsewhere(client, bound(server), database.storage.place):
        wanted["server"] = client.servers
    if client.type == "clientstorage" and client.ssl is None:
        key, value = _CLIENTSTORAGE
        if not CLIENTSTORAGE_ONLY & set(wanted):
            wanted[key] = value
    blob_dir = _implied_blob_dir(storage, wanted)
    if blob_dir:
        implied["blob-dir"] = (blob_dir,)
    return Mounted(
        database=database,
        storage=storage.name,
        served=storage,
        client=wanted,
        implied=implied,
        ssl=client.ssl,
    )


def _connects_elsewhere(client: Client, server: Address, place: Place) -> bool:
    """True if zmount would not write these addresses by itself."""
    own = Address(host="127.0.0.1", port=server.port) if server.is_everywhere else server
    return [_connected(text, place) for text in client.servers] != [own]


def _implied_blob_dir(storage: Served, wanted: Said) -> str:
    """Return the blob-dir that the mount has where nothing is said."""
    keys = keys_of(storage.section)
    if storage.section.type == "filestorage" and "blob-dir" not in keys:
        return "none"
    shared = wanted.get("shared-blob-dir", ("no",))[-1]
    if str(shared).lower() in ("on", "yes", "true", "1"):
        return ""  # the server's own; what is said is clearer
    return "var/blobcache/%s"


def _templated(
    key: str, values: tuple[Value, ...], directory: PurePosixPath, name: str
) -> tuple[Value, ...]:
    """Return VALUES with %s for the storage's NAME in a path, so that mounts say the same."""
    if key not in ("blob-dir", "cache-path", "var") or isinstance(values[-1], Secret):
        return values
    text = within(values[-1], directory)
    if key == "blob-dir" and text.lower() == "none":  # a directory, not zmount's word
        return (f"./{text}",)
    return (re.sub(rf"(?<=/){re.escape(name)}(?=$|[/.])", "%s", text, count=1),)
