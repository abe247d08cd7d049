"""The databases of an instance: its ``<zodb_db>`` sections."""

from __future__ import annotations

from dataclasses import replace

from zmount.errors import AdoptError
from zmount.topology.adopt.conf_files import keys_of, plain, shown
from zmount.topology.adopt.found import Client, Database
from zmount.topology.adopt.notes import Notes
from zmount.topology.mounts import CLIENT_KEYS, CLIENTSTORAGE_ONLY, DATABASE_KEYS, ZEOCLIENT_ONLY
from zmount.topology.sections import RawSection

_HANDLED = ("mount-point", "container-class")
CLIENTS = ("zeoclient", "clientstorage")


def databases(sections: tuple[RawSection, ...], notes: Notes) -> tuple[Database, ...]:
    """Return the databases that SECTIONS describe, the root first.

    :raises AdoptError: one has no name, no storage or no mount point, or two
        have one name
    """
    found: dict[str, Database] = {}
    for section in sections:
        database = _database(section, notes)
        if database.name in found:
            raise AdoptError(
                f"{section.place}: <zodb_db {database.name}> is there twice",
                hint=f"the other is {found[database.name].place}",
            )
        found[database.name] = database
    if not any(database.is_root for database in found.values()):
        notes.say(
            "no-root",
            sections[0].place,
            "no <zodb_db> has mount-point /",
            why="Zope would not start; zmount gives the instance a root of its own",
        )
    return tuple(sorted(found.values(), key=lambda database: not database.is_root))


def _database(section: RawSection, notes: Notes) -> Database:
    keys = keys_of(section)
    if not section.name:
        raise AdoptError(f"{section.place}: <zodb_db> has no name", hint="<zodb_db main>")
    if len(section.sections) != 1:
        what = "no storage" if not section.sections else "more than one storage"
        raise AdoptError(f"{section.place}: <zodb_db {section.name}> has {what}")
    points = tuple(plain(point) for point in keys.get("mount-point", ()))
    if not points:
        raise AdoptError(f"{section.place}: <zodb_db {section.name}> has no mount-point")
    for key in keys:
        if key not in DATABASE_KEYS and key not in _HANDLED:
            notes.dropped(section.place.of(key), key, within="<zodb_db>")
    storage = section.sections[0]
    if storage.type in CLIENTS:
        storage = _living(storage, notes)
    return Database(
        name=section.name,
        points=points,
        container_class=keys.text("container-class"),
        keys=keys.only(DATABASE_KEYS),
        storage=storage,
        client=_client(storage, notes) if storage.type in CLIENTS else None,
        place=section.place,
    )


def _living(section: RawSection, notes: Notes) -> RawSection:
    """Return the client SECTION without the keys that no client of today has, or heeds."""
    only = CLIENTSTORAGE_ONLY if section.type == "zeoclient" else ZEOCLIENT_ONLY
    known = (CLIENT_KEYS - only) | {"server", "storage"}
    for key in keys_of(section):
        if key not in known:
            notes.dropped(section.place.of(key), key, within=f"<{section.type}>")
    return replace(section, keys=tuple(pair for pair in section.keys if pair[0] in known))


def _client(section: RawSection, notes: Notes) -> Client | None:
    """Return the ZEO client that SECTION describes.

    None if zmount's <client> cannot say it: then the section stays as it is.
    """
    keys = keys_of(section)
    servers = tuple(plain(server) for server in keys.get("server", ()))
    if not servers:
        raise AdoptError(
            f"{section.place}: <{section.type}> has no server", hint="server HOST:PORT"
        )
    living = keys.without("server", "storage")
    for key, values in living.items_:
        if "%s" in plain(values[-1]):
            notes.say(
                "kept-raw",
                section.place.of(key),
                f"<{section.type}> is kept in <storage> as it is",
                why=f"zmount would replace the %s in {key} {shown(plain(values[-1]))}",
            )
            return None
    ssl = [inner for inner in section.sections if inner.type == "ssl"]
    return Client(
        type=section.type,
        servers=servers,
        asks_for=keys.text("storage", "1"),
        keys=living,
        ssl=ssl[0] if ssl else None,
    )
