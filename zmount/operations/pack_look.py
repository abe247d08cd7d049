"""The storages that are to be packed, as they are right now."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from zmount.effects.administrator_file import known_password
from zmount.effects.answers import Answer
from zmount.effects.pack_look import DataFile, look_at
from zmount.effects.stage_files import is_swapped, written_file
from zmount.errors import PrepareFailed, StorageUnreadable, UnknownName
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.outdated import outdated
from zmount.operations.pack_plan import Seen
from zmount.topology.processes import Process
from zmount.topology.references import data_files
from zmount.topology.storages import Storage
from zmount.topology.topology import nearest


def look(local: LocalProcesses, names: Sequence[str]) -> tuple[Seen, ...]:
    """Return how the storages NAMES are, or all whose file is on the LOCAL host.

    :raises UnknownName: there is no such storage, or it is on another host
    """
    eyes = _Eyes(local)
    return tuple(eyes.see(storage) for storage in chosen(local, names))


def chosen(local: LocalProcesses, names: Sequence[str]) -> tuple[Storage, ...]:
    """Return the storages NAMES, or all whose file is on the LOCAL host.

    :raises UnknownName: there is no such storage, or it is on another host
    """
    storages = {storage.name: storage for storage in local.topology.storages}
    here = [storage for storage in storages.values() if storage.host.name == local.host.name]
    for name in names:
        if name not in storages:
            raise UnknownName(
                f"there is no storage {name!r}",
                hint=nearest(name, storages) or "zmount show, for all names",
            )
        host = storages[name].host.name
        if host != local.host.name:
            raise UnknownName(
                f"storage {name} is on host {host}, not on {local.host.name}",
                hint=f"zmount --host {host}, on that machine",
            )
    return tuple(storage for storage in here if not names or storage.name in names)


class _Eyes:
    """Looks at storages; asks each process once."""

    def __init__(self, local: LocalProcesses) -> None:
        self._local = local
        self._answers: dict[str, Answer] = {}

    def see(self, storage: Storage) -> Seen:
        """Return how STORAGE is."""
        try:
            data_fs = _file_to_pack(storage)
        except StorageUnreadable as why:
            return Seen(storage=storage, unseen=str(why), unseen_hint=why.hint)
        file = look_at(data_fs) if data_fs is not None else DataFile()
        opener = self._local.openers.get(storage.name)
        if opener is None:
            return _seen(storage, file)
        answer = self._answer(opener)
        is_zope = not opener.is_zeo and file.writer is not None and answer.is_answering
        return _seen(
            storage,
            file,
            is_served=opener.is_zeo and _serves(answer, storage),
            zope=opener.name if is_zope else "",
            is_known_there=is_zope and self._knows_administrator,
            outdated=opener.name if opener.name in self._outdated else "",
        )

    def _answer(self, process: Process) -> Answer:
        if process.name not in self._answers:
            self._answers[process.name] = self._local.ask(process)
        return self._answers[process.name]

    @cached_property
    def _outdated(self) -> frozenset[str]:
        return frozenset(outdated(self._local.topology, self._local.host))

    @cached_property
    def _knows_administrator(self) -> bool:
        administrator = self._local.topology.administrator
        if administrator is None:
            return False
        try:
            return known_password(administrator, self._local.host) is not None
        except PrepareFailed:
            return False  # it may not be read by who packs


def _serves(answer: Answer, storage: Storage) -> bool:
    """True if the ZEO server of ANSWER has STORAGE; one that refuses us may tell why."""
    if not answer.is_answering:
        return False
    return answer.clients is None or storage.zeo_name in answer.clients


def _file_to_pack(storage: Storage) -> Path | None:
    if storage.stage is not None:
        return written_file(storage)
    files = data_files(storage)
    return Path(files[0]) if files else None


def _seen(
    storage: Storage,
    file: DataFile,
    *,
    is_served: bool = False,
    zope: str = "",
    is_known_there: bool = False,
    outdated: str = "",
) -> Seen:
    return Seen(
        storage=storage,
        data_fs=file.path,
        is_swapped=is_swapped(storage),
        size_bytes=file.size_bytes,
        disk=file.disk,
        unseen=file.unseen,
        writer=file.writer,
        is_served=is_served,
        zope=zope,
        is_known_there=is_known_there,
        outdated=outdated,
    )
