"""Which storages may hold references to objects of which others.

An object can refer to one in another database that is open beside its own: of
those that one instance mounts. ZODB writes such a reference with the other
database's name in the instance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from zmount.topology.hosts import Host
from zmount.topology.instances import Instance
from zmount.topology.sections import RawSection
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology

# sections whose records are those of the sections in them, as they stand or compressed
_SEEN_THROUGH = frozenset("zlibstorage serverzlibstorage demostorage blobstorage".split())
_IN_MEMORY = frozenset("mappingstorage temporarystorage".split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Referrer:
    """A storage whose objects may refer to others of its instances.

    ``files`` are the Data.fs to read, on the host that asked. ``unreadable``
    says why that host cannot read all that the storage holds, "" if it can.
    """

    storage: Storage
    files: tuple[PurePosixPath, ...] = ()
    unreadable: str = ""


def data_files(storage: Storage) -> tuple[PurePosixPath, ...]:
    """Return every Data.fs of STORAGE, on its host: a backend may have several, or none."""
    if storage.backend is None:
        return () if storage.data_fs is None else (storage.data_fs,)
    return tuple(
        storage.host.directory / str(path)
        for section in storage.backend.walk()
        if section.type == "filestorage" and (path := section.get("path")) is not None
    )


def files_to_pack(storage: Storage) -> tuple[PurePosixPath, ...]:
    """Return those of :func:`data_files` that are not opened read-only."""
    if storage.backend is None:
        said = {storage.data_fs: storage.options.text("read-only")}
    else:
        said = {
            storage.host.directory / str(path): str(section.get("read-only") or "")
            for section in storage.backend.walk()
            if section.type == "filestorage" and (path := section.get("path")) is not None
        }
    return tuple(
        path
        for path, text in said.items()
        if path is not None and text.lower() not in ("on", "yes", "true", "1")
    )


def is_in_memory(storage: Storage) -> bool:
    """True if STORAGE is empty again whenever it is opened."""
    return storage.backend is not None and storage.backend.type in _IN_MEMORY


def referrers(instance: Instance, host: Host) -> tuple[Referrer, ...]:
    """Return the storages of INSTANCE that may refer to others, as HOST can read them."""
    storages = {mount.storage.name: mount.storage for mount in instance.mounts}
    return tuple(
        _referrer(storage, host)
        for storage in storages.values()
        if storage.may_refer and not is_in_memory(storage)
    )


def instances_by_storage(topology: Topology) -> dict[str, list[tuple[Instance, str]]]:
    """Return, by storage, the instances that mount it and what each calls its database."""
    found: dict[str, list[tuple[Instance, str]]] = {}
    for instance in topology.instances:
        for mount in instance.mounts:
            found.setdefault(mount.storage.name, []).append((instance, mount.name))
    return found


def _referrer(storage: Storage, host: Host) -> Referrer:
    if storage.host.name != host.name:
        return Referrer(storage=storage, unreadable="its file is on another host")
    opaque = next(_opaque(storage.backend), None) if storage.backend is not None else None
    if opaque is not None:
        return Referrer(storage=storage, unreadable=f"the records of <{opaque}> cannot be read")
    return Referrer(storage=storage, files=data_files(storage))


def _opaque(section: RawSection) -> Iterator[str]:
    """Yield the types of the sections whose records zmount cannot read."""
    if section.type == "filestorage" or section.type in _IN_MEMORY:
        return
    if section.type not in _SEEN_THROUGH:
        yield section.type
        return
    for inner in section.sections:
        yield from _opaque(inner)
