"""The checks that take each storage of a ZEO server as a client does: read it, try a commit.

Eight at a time. A server whose disk hangs says how it is, and then nothing: the first
storage that waits in vain speaks for the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from ZODB.utils import maxtid, z64

from zmount.effects.clock import Stopwatch
from zmount.effects.files_seen import see_file
from zmount.effects.raw_zeo import ZeoRecords
from zmount.effects.zeo_write import try_commit
from zmount.errors import StorageUnreadable
from zmount.operations.health_readings import Number, Reading
from zmount.operations.health_scene import Scene, Subject
from zmount.operations.health_words import size_words, time_words
from zmount.topology.addresses import Address
from zmount.topology.processes import Process
from zmount.topology.storages import Storage
from zmount.topology.zeo import Tls, ZeoServer

CONNECTIONS = 8
_CHECKS = ("storage", "write")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """A ZEO server that answers, and says that it serves the storages ``served``.

    ``is_silent`` is set by the first that waits in vain.
    """

    scene: Scene
    name: str
    address: Address
    tls: Tls | None
    served: Mapping[str, int]
    is_silent: Event = field(default_factory=Event)


def read_storages(
    scene: Scene, process: Process, served: Mapping[str, int], storages: Iterable[Storage]
) -> Iterator[Reading]:
    """Yield how each of STORAGES is for a client; PROCESS says that it has those SERVED."""
    if not scene.asks(*_CHECKS):
        return
    assert isinstance(process.noun, ZeoServer)
    server = _Server(
        scene=scene,
        name=process.name,
        address=scene.local.address_of(process),
        tls=scene.local.client_tls(process.noun),
        served=served,
    )
    with ThreadPoolExecutor(CONNECTIONS, "read") as threads:
        for readings in threads.map(lambda each: tuple(_taken(server, each)), storages):
            yield from readings


def _taken(server: _Server, storage: Storage) -> Iterator[Reading]:
    subject = Subject(scene=server.scene, kind="storage", name=storage.name)
    if server.is_silent.is_set():
        said = f"not asked for: {server.name} stopped answering while it gave another storage"
        for check in _CHECKS:
            if check == "storage" or storage.role != "production":
                hint = f"zmount status {server.name}"
                yield from subject.says(check, "unknown", said, hint=hint)
        return
    if storage.zeo_name not in server.served:
        said = f"the ZEO server {server.name} runs, but does not serve {storage.zeo_name}"
        hint = f"zmount diff-config; zmount restart {server.name}"
        yield from subject.says("storage", "critical", said, hint=hint)
        return
    if server.scene.asks("storage"):
        yield from _root(server, storage, subject)
    if server.scene.asks("write") and storage.role != "production":
        yield from _written(server, storage, subject)


def _root(server: _Server, storage: Storage, subject: Subject) -> Iterator[Reading]:
    """Load the root, and compare the size that the server tells with the file's."""
    watch, hint = Stopwatch(), ""
    timeout_s = server.scene.timeout_s
    try:
        records = ZeoRecords(storage, server.address, server.tls, timeout_s=timeout_s)
        hint = f"zmount verify {storage.name} says whether it is damaged"
        try:
            root, seconds = records.loadBefore(z64, maxtid), watch.seconds
            sizes = _sizes(server, storage, records)
        finally:
            records.close()
    except StorageUnreadable as why:
        if watch.seconds >= timeout_s:
            server.is_silent.set()
            hint = ""
        said = str(why).removeprefix(f"storage {storage.name}: ")
        yield from subject.says("storage", "critical", said, hint=hint or why.hint)
        return
    numbers = (
        subject.number("load_root_seconds", seconds, "seconds"),
        subject.number("size_bytes", sizes[0], "bytes"),
    )
    what = "is served, and empty" if root is None else "is served, its root can be read"
    yield from _sized(storage, subject, what, sizes, numbers)


def _sizes(server: _Server, storage: Storage, records: ZeoRecords) -> tuple[int, int | None]:
    """Return the size that the server tells, and that of its plain file; None: none to see."""
    said = records.size_bytes()
    is_plain = storage.stage is None and storage.backend is None
    if not server.scene.is_here(storage) or storage.data_fs is None or not is_plain:
        return said, None
    # asked for after the server's: it can only have grown meanwhile, unless a pack just ended
    found = see_file(Path(storage.data_fs))
    if found.size_bytes < said:
        said, found = records.size_bytes(), see_file(Path(storage.data_fs))
    return said, None if found.why_not else found.size_bytes


def _sized(
    storage: Storage,
    subject: Subject,
    what: str,
    sizes: tuple[int, int | None],
    numbers: tuple[Number, ...],
) -> Iterator[Reading]:
    told, found = sizes
    if found is None or found >= told:
        said = f"{what}; {size_words(told if found is None else found)}"
        yield from subject.says("storage", "ok", said, *numbers)
        return
    said = f"{storage.data_fs} has {found:,} bytes, its server says {told:,}: it was cut"
    hint = f"let nobody write; zmount verify {storage.name}"
    yield from subject.says("storage", "critical", said, *numbers, hint=hint)


def _written(server: _Server, storage: Storage, subject: Subject) -> Iterator[Reading]:
    """Try a commit; nothing of it stays."""
    watch = Stopwatch()
    try:
        try_commit(storage, server.address, server.tls, timeout_s=server.scene.timeout_s)
    except StorageUnreadable as why:
        said = str(why).removeprefix(f"storage {storage.name}: ")
        yield from subject.says("write", "critical", f"takes no commit: {said}", hint=why.hint)
        return
    number = subject.number("vote_seconds", watch.seconds, "seconds")
    said = f"would take a commit: voted and aborted in {time_words(watch.seconds)}"
    yield from subject.says("write", "ok", said, number)
