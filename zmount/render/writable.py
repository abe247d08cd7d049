"""Which directories a process writes in; the rest of the disk can be closed to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from zmount.topology.instances import Replica
from zmount.topology.processes import Process
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology
from zmount.topology.zeo import ZeoServer


def writable_directories(topology: Topology, process: Process) -> tuple[PurePosixPath, ...]:
    """Return what PROCESS writes in, outermost directories only.

    All storages in the deployment's var/ are one entry: a new site changes
    nothing here, and a thousand sites do not make a thousand entries.
    """
    var = process.host.directory / "var"
    found = {var if path.is_relative_to(var) else path for path in _written(topology, process)}
    return tuple(sorted(path for path in found if not found.intersection(path.parents)))


def _written(topology: Topology, process: Process) -> Iterator[PurePosixPath]:
    yield process.directory / "log"
    yield process.directory / "var"
    noun = process.noun
    files = [process.log.path, process.address.socket, noun.pid_filename]
    if "transcript" in process.runner:
        files.append(process.transcript)
    if isinstance(noun, ZeoServer):
        for storage in topology.storages_of(noun):
            yield from _storage(storage)
        if noun.eventlog is not None:
            files += [PurePosixPath(str(raw.get("path"))) for raw in noun.eventlog.walk()]
    else:
        files.append(noun.access_log.path)
        yield from _zope(noun)
    for path in files:
        if path is not None and path.is_absolute():
            yield path.parent


def _storage(storage: Storage) -> Iterator[PurePosixPath]:
    if storage.data_fs is not None:
        yield storage.data_fs.parent
    if storage.blob_dir is not None:
        yield storage.blob_dir
    if storage.stage is not None:
        yield storage.stage.generations
    # a backend may have more files than its first
    for section in storage.backend.walk() if storage.backend is not None else ():
        path, blob_dir = section.get("path"), section.get("blob-dir")
        if section.type == "filestorage" and path is not None:
            yield (storage.host.directory / str(path)).parent
        if blob_dir is not None:
            yield storage.host.directory / str(blob_dir)


def _zope(replica: Replica) -> Iterator[PurePosixPath]:
    yield replica.var
    cache = PurePosixPath(replica.instance.environment.text("CHAMELEON_CACHE"))
    if cache.is_absolute():
        yield cache
    for mount in replica.instance.mounts:
        if mount.storage.server is None:
            yield from _storage(mount.storage)
        for key in ("blob-dir", "var"):
            if key in mount.client:
                yield replica.local(mount.client.text(key))
        if "cache-path" in mount.client:
            yield replica.local(mount.client.text("cache-path")).parent
