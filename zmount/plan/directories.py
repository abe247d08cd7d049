"""The directories that a host's part of a deployment needs.

What a process only reads belongs to whoever applies (root, where root does): a
process that could write its own configuration, or move the directory that
holds it, could make root's process manager run anything. What a process writes
belongs to its user.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from zmount.topology.hosts import Host
from zmount.topology.instances import Replica
from zmount.topology.mounts import Mount
from zmount.topology.processes import Process, processes
from zmount.topology.references import data_files
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology

BLOBS = 0o700  # what ZODB asks of a blob directory


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """A directory that must exist; ``user`` "" is whoever runs zmount."""

    path: PurePosixPath
    mode: int = 0o755
    user: str = ""


def directories(
    topology: Topology, host: Host, files: Iterable[PurePosixPath] = ()
) -> tuple[Directory, ...]:
    """Return the directories to have on HOST, each after its parent.

    FILES are the generated files; their directories are among the result, and
    so are all parents up to the root of the file system.
    """
    wanted: dict[PurePosixPath, Directory] = {}
    plain = [Directory(path=host.directory), *(Directory(path=path.parent) for path in files)]
    if topology.manager == "supervisor":  # supervisord's own log, pid file and socket
        plain += [Directory(path=host.directory / name) for name in ("log", "var")]
    for directory in (*_of_storages(topology, host), *_of_processes(topology, host), *plain):
        wanted.setdefault(directory.path, directory)
    for path in list(wanted):
        for parent in path.parents:
            wanted.setdefault(parent, Directory(path=parent))
    said = {path for path, directory in wanted.items() if directory.user}
    return tuple(
        _inside(wanted[path], said, wanted)
        for path in sorted(wanted, key=lambda path: (len(path.parts), path))
        if path.name  # not the root of the file system
    )


def _inside(
    directory: Directory, said: set[PurePosixPath], wanted: Mapping[PurePosixPath, Directory]
) -> Directory:
    """Return DIRECTORY as belonging to the user of what it lies in."""
    if directory.user:
        return directory
    above = next((parent for parent in directory.path.parents if parent in said), None)
    return directory if above is None else replace(directory, user=wanted[above].user)


def _of_storages(topology: Topology, host: Host) -> Iterator[Directory]:
    users = _root_users(topology)
    for storage in topology.storages:
        if storage.host.name == host.name:
            user = storage.server.user if storage.server else users.get(storage.name, "")
            yield from _of_storage(storage, user)


def _of_storage(storage: Storage, user: str) -> Iterator[Directory]:
    if storage.blob_dir is not None:
        yield Directory(path=storage.blob_dir, mode=BLOBS, user=user)
    for path in data_files(storage):
        yield Directory(path=path.parent, user=user)
    if storage.stage is not None:
        yield Directory(path=storage.stage.generations, user=user)


def _root_users(topology: Topology) -> dict[str, str]:
    """Return who opens a storage that no server serves, by the storage's name."""
    return {
        mount.storage.name: instance.user
        for instance in topology.instances
        for mount in instance.mounts
        if mount.storage.server is None
    }


def _of_processes(topology: Topology, host: Host) -> Iterator[Directory]:
    for process in processes(topology, host):
        yield from _of_process(process)
        if isinstance(process.noun, Replica):
            yield from _of_zope(process.noun, process.user)


def _of_process(process: Process) -> Iterator[Directory]:
    directory, user, noun = process.directory, process.user, process.noun
    yield Directory(path=directory)
    yield Directory(path=directory / "etc")
    for name in ("log", "var"):
        yield Directory(path=directory / name, user=user)
    written = [process.transcript, process.zdaemon_log, process.zdaemon_socket, noun.pid_filename]
    written += [path for path in (process.log.path, process.address.socket) if path is not None]
    if "logfile" in process.runner:
        written.append(directory / process.runner.text("logfile"))
    if isinstance(noun, Replica) and noun.access_log.path is not None:
        written.append(noun.access_log.path)
    for path in written:
        yield Directory(path=path.parent, user=user)


def _of_zope(replica: Replica, user: str) -> Iterator[Directory]:
    yield Directory(path=replica.var, user=user)
    yield Directory(path=replica.var / "cache", user=user)
    for name in ("import", "Extensions", "etc/package-includes"):
        yield Directory(path=replica.directory / name)
    for mount in replica.instance.mounts:
        for path in _client_paths(mount):
            yield Directory(path=replica.local(path), user=user)


def _client_paths(mount: Mount) -> Iterator[PurePosixPath]:
    """Yield where a ZEO client keeps its caches; it makes the blob cache itself."""
    client = mount.client
    if "blob-dir" in client and client.text("blob-dir") != str(mount.storage.blob_dir):
        yield PurePosixPath(client.text("blob-dir")).parent
    if "var" in client:
        yield PurePosixPath(client.text("var"))
    if "cache-path" in client:
        yield PurePosixPath(client.text("cache-path")).parent
