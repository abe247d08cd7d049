"""Show what runs, where, since when and how large.

1. every process of the host: what does its manager say of it?
2. does it answer? Is somebody else at its address?
3. every storage of the host: its files, and whether its server serves it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from zmount.effects.answers import Answer
from zmount.effects.clock import now
from zmount.effects.disk_use import DiskUse, disk_use
from zmount.effects.process_manager import Kept
from zmount.effects.process_table import (
    Owner,
    is_alive,
    keeper,
    listener,
    memory_bytes,
    started_at,
)
from zmount.effects.stage_files import stage_blobs, stage_state
from zmount.errors import ProcessFailed, StorageUnreadable
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.offline_facts import known_offline
from zmount.operations.process_names import named_processes, noun_name
from zmount.operations.stage_facts import stage_facts, stage_text
from zmount.plan.offline import Offline
from zmount.topology.hosts import Host
from zmount.topology.processes import Process
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology

State = Literal[
    "running",  # and answers
    "starting",  # runs, shorter than its start-timeout, and does not answer yet
    "not answering",  # runs, and should answer by now
    "restarting",  # died; its manager is about to start it again
    "stopped",
    "unmanaged",  # runs, but its manager is gone, or is not what the topology says
    "foreign",  # does not run; something else is at its address
    "unknown",  # its manager does not tell us
]
START_TIMEOUT_S = 60  # schema.xml's default of start-timeout


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessStatus:
    """How a process of this host is.

    ``pid`` is None unless it runs; then ``started_at`` (seconds since the epoch),
    ``uptime_s`` and ``memory_bytes`` (resident) are known where the kernel tells.
    ``restarts`` is as in :class:`Kept`. ``detail`` is what it answered, or why
    its state is no better. ``owner`` is who else has its address.
    """

    process: Process
    state: State
    pid: int | None = None
    started_at: float | None = None
    uptime_s: float | None = None
    memory_bytes: int | None = None
    restarts: int | None = None
    detail: str = ""
    owner: Owner | None = None
    answer: Answer | None = None

    @property
    def is_up(self) -> bool:
        """True if a process of ours runs, whether it answers or not."""
        return self.pid is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class NeededElsewhere:
    """A ZEO server on another host that instances of this one need."""

    process: Process
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageStatus:
    """A storage's files on this host, and whether its running server serves it.

    ``shows`` is what a stage shows (see :mod:`stage_facts`), ``remark`` the same in words.
    ``clients`` is the number of connections to it; None where its server does
    not run, or does not serve it.
    """

    storage: Storage
    use: DiskUse
    shows: dict[str, Any] | None = None
    remark: str = ""
    clients: int | None = None
    is_missing_in_server: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What runs on a host, and its storages; all of it unless ``is_part``.

    ``offline`` are mount points of its instances that somebody took off-line.
    """

    host: Host
    is_part: bool
    processes: tuple[ProcessStatus, ...]
    elsewhere: tuple[NeededElsewhere, ...]
    storages: tuple[StorageStatus, ...]
    offline: tuple[Offline, ...] = ()

    @property
    def is_well(self) -> bool:
        """True if all that should run does and answers, here and where we need it.

        That is what starts by itself, or what was named.
        """
        return all(
            status.state == "running"
            or (status.state == "stopped" and not status.process.autostart and not self.is_part)
            for status in self.processes
        ) and all(needed.answer.is_answering for needed in self.elsewhere)


def status(topology: Topology, host: Host, names: Iterable[str] = ()) -> Status:
    """Return how the processes NAMES on HOST are, or all; and their storages.

    One whose manager does not let us ask hides no other.

    :raises UnknownName: there is no such process on HOST
    """
    local = LocalProcesses(topology=topology, host=host)
    named = named_processes(topology, host, names)
    chosen = named or local.all
    seen = tuple(_as_far_as_told(process, local) for process in chosen)
    return Status(
        host=host,
        is_part=bool(named),
        processes=seen,
        elsewhere=_needed_elsewhere(local, chosen),
        storages=_storages(topology, host, seen),
        offline=_offline(host, chosen),
    )


def _offline(host: Host, chosen: Iterable[Process]) -> tuple[Offline, ...]:
    names = {noun_name(process) for process in chosen}
    return tuple(each for each in known_offline([host]) if each.instance in names)


def _as_far_as_told(process: Process, local: LocalProcesses) -> ProcessStatus:
    try:
        return observe_process(process, local)
    except ProcessFailed as why:
        answer = local.ask(process)
        told = str(why).removeprefix(f"{process.name}: ")
        detail = f"{answer.detail}, but {told}" if answer.is_answering else told
        return ProcessStatus(process=process, state="unknown", detail=detail, answer=answer)


def observe_processes(topology: Topology, host: Host) -> tuple[ProcessStatus, ...]:
    """Return how the processes of HOST are right now.

    :raises ProcessFailed: the process manager does not let us ask
    """
    local = LocalProcesses(topology=topology, host=host)
    return tuple(observe_process(process, local) for process in local.all)


def observe_process(
    process: Process, local: LocalProcesses, *, ask: Callable[[Process], Answer] | None = None
) -> ProcessStatus:
    """Return how PROCESS, one of the LOCAL ones, is right now.

    ASK is how it is asked whether it answers; None: as all commands do it.
    """
    kept = local.manager.observe(process)
    if kept.pid is None or not is_alive(kept.pid):  # its manager may not know it yet
        return _not_running(process, kept)
    answer = (ask or local.ask)(process)
    if not answer.is_answering and not is_alive(kept.pid):  # it died while it was asked
        return _not_running(process, kept)
    began = started_at(kept.pid)
    uptime_s = None if began is None else max(0.0, now() - began)
    return ProcessStatus(
        process=process,
        state=_state(process, answer, kept, uptime_s),
        pid=kept.pid,
        started_at=began,
        uptime_s=uptime_s,
        memory_bytes=memory_bytes(kept.pid),
        restarts=kept.restarts,
        detail=answer.detail,
        answer=answer,
    )


def is_process(owner: Owner, process: Process) -> bool:
    """True if OWNER runs the program of PROCESS, with its configuration."""
    words = set(owner.command)
    return bool(words) and set(process.program) <= words


def start_timeout_s(process: Process) -> int:
    """Return how many seconds PROCESS has until it must answer."""
    return int(process.runner.text("start-timeout") or START_TIMEOUT_S)


def _state(process: Process, answer: Answer, kept: Kept, uptime_s: float | None) -> State:
    if answer.is_answering:
        return "running"
    is_young = uptime_s is not None and uptime_s < start_timeout_s(process)
    if not is_young:
        return "not answering"
    return "restarting" if kept.restarts else "starting"


def _not_running(process: Process, kept: Kept) -> ProcessStatus:
    if kept.is_kept:
        return ProcessStatus(
            process=process, state="restarting", restarts=kept.restarts, detail=kept.detail
        )
    owner = listener(process.address)
    if owner is None:
        return ProcessStatus(process=process, state="stopped", detail=kept.detail)
    if owner.pid is not None and is_process(owner, process):
        began = started_at(owner.pid)
        return ProcessStatus(
            process=process,
            state="unmanaged",
            pid=owner.pid,
            started_at=began,
            uptime_s=None if began is None else max(0.0, now() - began),
            memory_bytes=memory_bytes(owner.pid),
            detail="its manager is gone: nothing restarts it"
            if (by := keeper(owner.pid)) is None
            else f"kept by {by}, which is not the manager that the topology says",
        )
    return ProcessStatus(
        process=process, state="foreign", owner=owner, detail=f"{owner} is at its address"
    )


def _needed_elsewhere(
    local: LocalProcesses, chosen: Iterable[Process]
) -> tuple[NeededElsewhere, ...]:
    names = dict.fromkeys(name for process in chosen for name in process.after)
    needed = [local.everywhere[name] for name in names]
    return tuple(
        NeededElsewhere(process=process, answer=local.ask(process))
        for process in needed
        if not local.is_here(process)
    )


def _storages(
    topology: Topology, host: Host, seen: tuple[ProcessStatus, ...]
) -> tuple[StorageStatus, ...]:
    """Return the storages on HOST of the processes that were SEEN."""
    served = {
        status.process.name: status.answer.clients
        for status in seen
        if status.process.is_zeo and status.answer is not None
    }
    names = {status.process.name for status in seen}
    own = {
        mount.storage.name
        for replica in topology.replicas
        if replica.name in names
        for mount in replica.instance.mounts
        if mount.storage.server is None
    }
    return tuple(
        _storage(storage, served)
        for storage in topology.storages
        if storage.host.name == host.name
        and (storage.server.name in names if storage.server is not None else storage.name in own)
    )


def _use(storage: Storage) -> DiskUse:
    """Return the size of what STORAGE shows: of a stage also of what is production's file."""
    plain = disk_use(storage.data_fs, storage.blob_dir)
    if storage.stage is None:
        return plain
    try:
        state = stage_state(storage)
    except StorageUnreadable:
        return plain
    if state.is_plain or state.broken:
        return plain
    written = disk_use(PurePosixPath(state.files[-1]), None)
    blobs = [disk_use(None, PurePosixPath(path)).blob_bytes for path in stage_blobs(storage)]
    counted = [each for each in blobs if each is not None]
    return DiskUse(
        size_bytes=state.size_bytes,
        modified_at=written.modified_at,
        blob_bytes=sum(counted) if counted else None,
    )


def _storage(storage: Storage, served: Mapping[str, Mapping[str, int] | None]) -> StorageStatus:
    clients = served.get(storage.server.name) if storage.server is not None else None
    return StorageStatus(
        storage=storage,
        use=_use(storage),
        shows=stage_facts(storage),
        remark=stage_text(storage),
        clients=clients.get(storage.zeo_name) if clients is not None else None,
        is_missing_in_server=clients is not None and storage.zeo_name not in clients,
    )
