"""Rules about names: what can be a file name, a Zope id, a process' name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from zmount.topology.checks.claims import noun_place
from zmount.topology.findings import Finding, error
from zmount.topology.places import Place
from zmount.topology.processes import Process, processes
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology

LONGEST = 100  # characters; file names with suffixes have 255 bytes


class _Noun(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def place(self) -> Place: ...


def names_unsafe_as_file_names(topology: Topology) -> Iterator[Finding]:
    """Yield names that would make odd or dangerous paths, units and commands."""
    nouns: tuple[tuple[str, Iterable[_Noun]], ...] = (
        ("host", topology.hosts),
        ("zeo", topology.zeo_servers),
        ("site", topology.sites),
        ("instance", topology.instances),
    )
    for kind, named in nouns:
        for noun in named:
            why = why_unsafe(noun.name, non_ascii=kind == "site")
            if why:
                yield _unsafe(f"{kind} {noun.name}", noun.place, why)
    for storage in topology.storages:
        for name in dict.fromkeys((storage.name, storage.zeo_name)):
            why = next(filter(None, map(why_unsafe, name.split("/"))), "")
            if why:
                yield _unsafe(f"storage {name}", _said(storage), why)


def why_unsafe(name: str, *, non_ascii: bool = True) -> str:
    """Return why NAME is no good as a file's name, or ""."""
    if not name:
        return "a part of it is empty"
    if len(name) > LONGEST:
        return f"it is longer than {LONGEST} characters"
    if name[0] in "-.~":
        return f"it begins with {name[0]}"
    for char in name:
        if not (char.isalnum() and (non_ascii or char.isascii())) and char not in "._-+@~,":
            return f"it has {'a blank' if char.isspace() else ascii(char)} in it"
    return ""


def _unsafe(what: str, place: Place, why: str) -> Finding:
    return error(
        "name-unsafe",
        place,
        f"{what!r} is not safe as a file name",
        why=why,
        hint="letters, digits, and . _ - + @ ~ , inside",
    )


def _said(storage: Storage) -> Place:
    """Return the line that names STORAGE: its own section's, or that of its site."""
    return storage.place.of("served-as" if storage.served_as else storage.role)


def upper_case_storage_names(topology: Topology) -> Iterator[Finding]:
    """Yield storages that clients would ask for in vain."""
    for storage in topology.storages:
        name = storage.zeo_name
        if storage.server is not None and name != name.lower():
            yield error(
                "upper-case-name",
                _said(storage),
                f"storage {name} has upper-case letters",
                why=f"ZEO would serve it as {name.lower()}, and clients that ask for {name} would "
                "wait 30 s and fail",
                hint=name.lower(),
            )


def reserved_names(topology: Topology) -> Iterator[Finding]:
    """Yield names that mean something else where they are referred to."""
    for site in topology.sites:
        if site.name in ("all", "none"):
            yield _reserved(f"site {site.name}", site.place, f"sites {site.name}")
    for server in topology.zeo_servers:
        if server.name == "none":
            yield _reserved("zeo none", server.place, "server none")


def _reserved(what: str, place: Place, key: str) -> Finding:
    return error(
        "name-reserved",
        place,
        f"{what} cannot have this name",
        why=f'"{key}" has a meaning of its own',
        hint="another name",
    )


def process_names_twice(topology: Topology) -> Iterator[Finding]:
    """Yield processes that "zmount start NAME" could not tell apart."""
    first: dict[str, Process] = {}
    for process in processes(topology):
        other = first.setdefault(process.name, process)
        if other is process:
            continue
        yield error(
            "process-name-twice",
            noun_place(process),
            f"two processes would be called {process.name}",
            why=f"the other one is described in line {noun_place(other).line}; "
            "replicas are called INSTANCE-1, INSTANCE-2 and so on",
            hint="another name for one of them",
        )


def served_names_twice(topology: Topology) -> Iterator[Finding]:
    """Yield storages that one ZEO server would serve under one name."""
    first: dict[tuple[str, str], Storage] = {}
    for storage in topology.storages:
        if storage.server is None:
            continue
        other = first.setdefault((storage.server.name, storage.zeo_name.lower()), storage)
        if other is not storage:
            yield error(
                "served-name-twice",
                _said(storage),
                f"{storage.server.name} would serve {storage.name} and {other.name} as "
                f"{storage.zeo_name.lower()}",
                why="ZEO does not start with two storages of one name",
                hint="another served-as",
            )


RULES = (
    names_unsafe_as_file_names,
    upper_case_storage_names,
    reserved_names,
    process_names_twice,
    served_names_twice,
)
