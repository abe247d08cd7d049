"""Paths that can have one user only."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from zmount.topology.hosts import Host
from zmount.topology.instances import Replica
from zmount.topology.mounts import Mount
from zmount.topology.places import Place
from zmount.topology.processes import Process, processes
from zmount.topology.sections import RawSection
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology
from zmount.topology.zeo import ZeoServer

LONGEST = 4096  # characters of a path, Linux

Use = Literal[
    "directory",
    "clienthome",
    "data-fs",
    "blob-dir",
    "generations",
    "client-cache",
    "blob-cache",
    "socket",
    "pid-file",
    "log",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A path that OWNER uses, on a machine, and that nobody else may use.

    ``said`` is the path before its ``..`` are resolved. ``storage`` is the
    storage that a blob cache is of: ZEO lets its clients share one. ``is_of_stage``: that
    storage is a stage.
    """

    host: Host
    said: str
    use: Use
    owner: str
    place: Place
    storage: str = ""
    is_of_stage: bool = False

    @property
    def path(self) -> str:
        """The path itself, on :attr:`machine`."""
        return normal(self.said)

    @property
    def machine(self) -> str:
        """Two hosts of one address are one machine."""
        return self.host.address.lower()


def normal(path: str | PurePosixPath) -> str:
    """Return PATH without ``..`` and doubled slashes, as if there were no links."""
    text = str(path)
    return "/" + posixpath.normpath(text).lstrip("/") if text.startswith("/") else text


def claims(topology: Topology) -> Iterator[Claim]:
    """Yield every path that can have one user only; directories of processes first."""
    running = processes(topology)
    for process in running:
        yield _claim(process, process.directory, "directory")
    for storage in topology.storages:
        yield from _of_storage(storage)
    for process in running:
        if isinstance(process.noun, ZeoServer):
            yield _claim(process, process.noun.pid_filename, "pid-file", "pid-filename")
        else:
            yield from _of_zope(process, process.noun)
        if process.log.path is not None:
            yield _claim(process, process.log.path, "log", place=process.log.place)
        if topology.manager == "zdaemon":
            yield _claim(process, process.zdaemon_socket, "socket")
        if process.address.socket is not None:
            yield _claim(process, process.address.socket, "socket", "address", "http-address")


def _of_storage(storage: Storage) -> Iterator[Claim]:
    def claim(path: PurePosixPath, use: Use, place: Place) -> Claim:
        owner = f"storage {storage.name}"
        return Claim(host=storage.host, said=str(path), use=use, owner=owner, place=place)

    if storage.backend is not None:
        for section in storage.backend.walk():
            for use, path in _files_in(section):
                yield claim(storage.host.directory / path, use, section.place)
        return
    if storage.data_fs is not None and not is_read_only(storage):
        yield claim(storage.data_fs, "data-fs", storage.place.of("path"))
    if storage.blob_dir is not None and not is_read_only(storage):
        yield claim(storage.blob_dir, "blob-dir", storage.place.of("blob-dir"))
    if storage.stage is not None:
        yield claim(storage.stage.generations, "generations", storage.place.of("path"))


def _files_in(section: RawSection) -> Iterator[tuple[Use, str]]:
    """Yield the files that SECTION itself opens for writing."""
    if str(section.get("read-only") or "").lower() in ("on", "yes", "true", "1"):
        return
    path, blob_dir = section.get("path"), section.get("blob-dir")
    if section.type == "filestorage" and isinstance(path, str) and 0 < len(path) < LONGEST:
        yield "data-fs", path
    has_blobs = section.type in ("filestorage", "blobstorage")
    if has_blobs and isinstance(blob_dir, str) and 0 < len(blob_dir) < LONGEST:
        yield "blob-dir", blob_dir


def is_read_only(storage: Storage) -> bool:
    """True if nobody writes STORAGE's files, so that several may open them."""
    return storage.options.text("read-only").lower() in ("on", "yes", "true", "1")


def _of_zope(process: Process, replica: Replica) -> Iterator[Claim]:
    yield _claim(process, replica.var, "clienthome", "clienthome")
    yield _claim(process, replica.pid_filename, "pid-file", "pid-filename")
    log = replica.access_log
    if log.path is not None:
        yield _claim(process, log.path, "log", place=log.place)
    for mount in replica.instance.mounts:
        if mount.storage.server is not None:
            yield from _of_client(process, replica, mount)
    for section in (inner for raw in replica.instance.sections for inner in raw.walk()):
        for use, path in _files_in(section):
            yield _claim(process, replica.directory / path, use, place=section.place)


def _of_client(process: Process, replica: Replica, mount: Mount) -> Iterator[Claim]:
    cache, key = cache_file(replica, mount)
    if cache is not None:
        yield _claim(process, cache, "client-cache", place=mount.place.of(key))
    blob_dir = mount.client.text("blob-dir")
    if blob_dir and not shares_blobs(mount):
        yield Claim(
            host=replica.host,
            said=str(replica.local(blob_dir)),
            use="blob-cache",
            owner=process.name,
            place=mount.place.of("blob-dir"),
            storage=mount.storage.name,
            is_of_stage=mount.storage.stage is not None,
        )


def cache_file(replica: Replica, mount: Mount) -> tuple[PurePosixPath | None, str]:
    """Return the file of MOUNT's persistent cache, and the key that asks for it.

    Source: ``ZEO.ClientStorage.open_cache``. A relative path is taken to be in
    the replica's directory.
    """
    path = mount.client.text("cache-path")
    if path:
        return replica.local(path), "cache-path"
    client = mount.client.text("client")
    if not client:
        return None, ""
    name = f"{client}-{mount.storage.zeo_name}.zec"
    return replica.local(mount.client.text("var")) / name, "client"


def shares_blobs(mount: Mount) -> bool:
    """True if the client uses the server's own blob directory."""
    return mount.client.text("shared-blob-dir").lower() in ("on", "yes", "true", "1")


def _claim(
    process: Process, path: PurePosixPath, use: Use, *keys: str, place: Place | None = None
) -> Claim:
    where = place if place is not None and place.file else noun_place(process)
    for key in keys or ("directory",):
        where = where.keys.get(key, where)
    return Claim(host=process.host, said=str(path), use=use, owner=process.name, place=where)


def noun_place(process: Process) -> Place:
    """Return where PROCESS' server or instance is described."""
    noun = process.noun
    return noun.place if isinstance(noun, ZeoServer) else noun.instance.place
