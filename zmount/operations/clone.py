"""Copy a storage, in use or not, as it is at one moment.

1. choose: the storage's files on this host.
2. clone:  complete transactions only, with an index and the blobs; whole in the end,
   or not there. A stage that shows production's content, with changes of its own in
   another file, becomes one data file of both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zmount.effects.stage_layers import BrokenStage, layers_of
from zmount.errors import StorageUnreadable
from zmount.filestorage.clone import Cloned
from zmount.filestorage.clone import clone as clone_files
from zmount.filestorage.layered_clone import clone_layers
from zmount.filestorage.layers import Layers
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.pack_look import chosen
from zmount.operations.recorded import recorded
from zmount.operations.storage_files import files_of
from zmount.topology.hosts import Host
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology

DATA_FS = "Data.fs"  # what the clone of a stage is called
Progress = Callable[[str, int, int], None]

Watcher = Callable[[str, str, int, int], None]
"""Is told of a storage by name: a phase, what is done and how much there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageCloned:
    """The clone that was made of ``storage``."""

    storage: Storage
    clone: Cloned

    def as_json(self) -> dict[str, Any]:
        """Return plain values; sizes are in bytes, ``last_tid`` as ZODB's tools write it."""
        made = self.clone
        return {
            "storage": self.storage.name,
            "data_fs": str(made.data_fs),
            "blob_dir": str(made.blob_dir) if made.blob_dir is not None else None,
            "size": made.size_bytes,
            "last_tid": f"0x{made.last_tid:016x}",
            "objects": made.objects,
            "data_fs_by": made.how,
            "index_by": made.index,
            "blobs_linked": made.blobs_linked,
            "blobs_copied": made.blobs_copied,
            "blob_bytes_copied": made.blob_bytes_copied,
            "seconds": round(made.seconds, 3),
        }


def clone(
    topology: Topology, host: Host, name: str, directory: Path, watch: Watcher
) -> StorageCloned:
    """Copy the storage NAME on HOST into DIRECTORY, which is made or empty.

    :raises UnknownName: there is no such storage on HOST
    :raises ApplyRefused: there is something in DIRECTORY
    :raises StorageUnreadable: the storage is no FileStorage, or damaged
    :raises StorageUnwritable: no space, no permission
    """
    (storage,) = chosen(LocalProcesses(topology=topology, host=host), [name])
    to = {"to": str(directory)}
    with recorded(topology.file, host.name, "clone", subjects=[name], arguments=to) as record:
        made = _cloned(
            storage, directory, lambda phase, done, of: watch(storage.name, phase, done, of)
        )
        record.numbers(size=made.size_bytes, objects=made.objects, blobs=made.blobs_copied)
    return StorageCloned(storage=storage, clone=made)


def _cloned(storage: Storage, directory: Path, progress: Progress) -> Cloned:
    """Clone what STORAGE shows; what it shows by then, where a swap removes that meanwhile."""
    while True:
        layers = layers_of(storage)
        try:
            if layers is None:
                files = files_of(storage)
                if layers_of(storage) is None:  # else these are not all that it shows
                    return clone_files(
                        files.data_fs, directory, blob_dir=files.blob_dir, progress=progress
                    )
            else:
                return _one_of_two(storage, layers, directory, progress)
        except StorageUnreadable:
            if layers_of(storage) == layers:
                raise


def _one_of_two(
    storage: Storage, layers: Layers | BrokenStage, directory: Path, progress: Progress
) -> Cloned:
    if isinstance(layers, BrokenStage):
        raise StorageUnreadable(
            f"{storage.name}: {layers.path}: {layers.reason}",
            hint="zmount swap-stage makes what it shows anew",
        )
    return clone_layers(layers, directory, name=DATA_FS, progress=progress)
