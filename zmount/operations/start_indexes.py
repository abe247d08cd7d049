"""Before a process opens its storages: do their saved indexes belong to them?

FileStorage takes another file's index if it is of the same size, and then answers
with old or other objects. And it refuses a right one after a blob was stored through
ZEO, and then reads the whole file before it answers. What a pack left that was killed
with its process is put right first: the index may be among it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePath

from zmount.effects.local_files import is_file
from zmount.effects.stage_files import current_files, is_swapped
from zmount.errors import Locked, StorageUnreadable, ZMountError
from zmount.filestorage.pack_leftovers import finish_pack
from zmount.filestorage.reindex import ready_index
from zmount.filestorage.source import torn_bytes
from zmount.topology.instances import Replica
from zmount.topology.processes import Process
from zmount.topology.references import data_files
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology
from zmount.topology.zeo import ZeoServer


def ready_indexes(topology: Topology, process: Process) -> tuple[str, ...]:
    """Put the indexes right that PROCESS is to open; return what was done, or why not.

    It is started all the same: without an index it takes longer.
    """
    return tuple(note for storage in _opened_by(topology, process) for note in _ready(storage))


def _opened_by(topology: Topology, process: Process) -> Iterator[Storage]:
    """Yield the storages whose files PROCESS opens."""
    noun = process.noun
    if isinstance(noun, ZeoServer):
        yield from topology.storages_of(noun)
    elif isinstance(noun, Replica):
        mounted = {mount.storage.name: mount.storage for mount in noun.instance.mounts}
        yield from (storage for storage in mounted.values() if storage.server is None)


def _files(storage: Storage) -> Iterator[PurePath]:
    """Yield the data files that opening STORAGE opens; a stage judges its base's index itself."""
    if is_swapped(storage):
        yield current_files(storage)[-1]
    else:
        yield from data_files(storage)


def _ready(storage: Storage) -> Iterator[str]:
    try:
        files = tuple(_files(storage))
    except StorageUnreadable as why:
        yield str(why)
        return
    for path in files:
        if is_file(path):
            yield from _ready_file(storage, Path(path))


def _ready_file(storage: Storage, path: Path) -> Iterator[str]:
    """Put right what lies beside PATH; if it is open, the start itself will say who has it."""
    try:
        done = finish_pack(path)
        if done:
            yield f"{path}: {done}"
    except Locked:
        return
    except ZMountError as why:
        yield f"what an interrupted pack left of {storage.name} stays: {why}"
    try:
        torn = torn_bytes(path)
        made = ready_index(path)
    except Locked:
        return
    except ZMountError as why:
        yield f"the index of {storage.name} could not be made ready: {why}"
        return
    if made.done != "kept":
        yield f"the index of {storage.name} {made.done} in {made.seconds:.1f} s: {made.why}"
    if torn:
        yield (
            f"{path}: its last {torn:,} bytes are no whole transaction; FileStorage cuts them off, "
            f"into {path.name}.tr0: look whether more is lost (zmount verify {storage.name})"
        )
