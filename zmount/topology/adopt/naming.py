"""What zmount calls the parts of an adopted deployment, and where it lies."""

from __future__ import annotations

import os.path
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from zmount.topology.adopt.conf_files import keys_of
from zmount.topology.adopt.found import Served, Server, Zope
from zmount.topology.adopt.notes import Notes

_CLIENT = re.compile(r"_client(?=(-\d+)?$)")  # zmount's own directories of instances
_UNSAFE = re.compile(r"[^a-z0-9._-]+")


@dataclass(slots=True)
class Names:
    """Names given so far; each is given once."""

    taken: set[str] = field(default_factory=set)

    def give(self, wanted: str) -> str:
        """Return WANTED, with a number after it if it is taken."""
        name, number = wanted, 1
        while name in self.taken:
            number += 1
            name = f"{wanted}-{number}"
        self.taken.add(name)
        return name

    def for_process(self, directory: PurePosixPath, otherwise: str) -> str:
        """Return a name for the process that lives in DIRECTORY."""
        name = _UNSAFE.sub("-", directory.name.lower()).strip("-.")
        name = _CLIENT.sub("", name)
        return self.give(otherwise if not name or name in self.taken else name)


def deployment_directory(servers: tuple[Server, ...], zopes: tuple[Zope, ...]) -> PurePosixPath:
    """Return the directory that all processes, and if possible all data, lie in."""
    homes = [server.directory for server in servers] + [zope.directory for zope in zopes]
    files = [
        PurePosixPath(path)
        for server in servers
        for storage in server.storages
        if (path := keys_of(storage).text("path")).startswith("/")
    ]
    for places in (homes + files, homes):
        common = PurePosixPath(os.path.commonpath([str(place) for place in places]))
        while common in homes or common in files:
            common = common.parent
        if common != PurePosixPath("/"):
            return common
    return homes[0].parent


def served_storages(servers: tuple[Server, ...], notes: Notes) -> tuple[Served, ...]:
    """Return the storages of all SERVERS, each under a name that only it has."""
    count = Counter(storage.name for server in servers for storage in server.storages)
    names = Names()
    found = []
    for server in servers:
        for storage in server.storages:
            name = storage.name if count[storage.name] == 1 else f"{server.name}/{storage.name}"
            given = names.give(name)
            if given != storage.name:
                notes.say(
                    "renamed",
                    storage.place,
                    f"storage {storage.name} of {server.name} is called {given} in zmount.conf",
                    why="another ZEO server has one of that name; clients ask as before",
                )
            found.append(
                Served(name=given, served_as=storage.name, server=server.name, section=storage)
            )
    return tuple(found)


def within(path: str | PurePosixPath, directory: PurePosixPath) -> str:
    """Return PATH, relative if it lies in DIRECTORY."""
    try:
        relative = str(PurePosixPath(path).relative_to(directory))
    except ValueError:
        return str(path)
    return relative
