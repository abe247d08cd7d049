"""Give storages new indexes, so that FileStorage opens them at once.

1. choose: what is named; each is on this host.
2. build:  from all records of its data file, while nobody can open it: whoever has
   it open saves his own index when he closes it, over ours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from zmount.errors import Locked, ZMountError
from zmount.filestorage.reindex import Indexed, build_index
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.pack_look import chosen
from zmount.operations.recorded import recorded
from zmount.operations.storage_files import files_of
from zmount.topology.hosts import Host
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageIndexed:
    """What became of ``storage``: its new index, or the ``error`` why there is none."""

    storage: Storage
    index: Indexed | None = None
    error: ZMountError | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain values; sizes are in bytes."""
        index = self.index
        return {
            "storage": self.storage.name,
            "result": index.done if index is not None else "failed",
            "path": str(index.path) if index is not None else None,
            "objects": index.objects if index is not None else None,
            "position": index.position if index is not None else None,
            "end": index.end if index is not None else None,
            "seconds": round(index.seconds, 3) if index is not None else None,
            "error": str(self.error) if self.error is not None else None,
            "hint": self.error.hint if self.error is not None else None,
        }


Watcher = Callable[[str, str, int, int], None]
"""Is told of a storage by name: a phase, the bytes done and all of them."""


def index(
    topology: Topology, host: Host, names: Sequence[str], watch: Watcher
) -> tuple[StorageIndexed, ...]:
    """Build the indexes of the storages NAMES on HOST; what fails is in the result, not raised.

    :raises UnknownName: there is no such storage on HOST
    """
    local = LocalProcesses(topology=topology, host=host)
    return tuple(_recorded(storage, local, watch) for storage in chosen(local, names))


def _recorded(storage: Storage, local: LocalProcesses, watch: Watcher) -> StorageIndexed:
    file, host = local.topology.file, local.host.name
    with recorded(file, host, "index", subjects=[storage.name]) as record:
        found = _index(storage, watch)
        record.failed(found.error)
        if found.index is not None:
            record.numbers(result=found.index.done, objects=found.index.objects)
    return found


def _index(storage: Storage, watch: Watcher) -> StorageIndexed:
    def tell(done: int, of: int) -> None:
        watch(storage.name, "index", done, of)

    try:
        path = files_of(storage).data_fs
        return StorageIndexed(storage=storage, index=build_index(path, progress=tell))
    except Locked as why:
        server = storage.server.name if storage.server is not None else ""
        error = Locked(
            f"{why}, and saves its index itself when it closes it",
            hint=f"zmount stop {server}".rstrip() + ", if it must be built anew",
        )
        return StorageIndexed(storage=storage, error=error)
    except ZMountError as error:
        return StorageIndexed(storage=storage, error=error)


def refuse_failures(found: Sequence[StorageIndexed]) -> None:
    """Raise what went wrong in FOUND, if anything did.

    :raises ZMountError: the one failure as it was, or several in lines of their own
    """
    errors = [each.error for each in found if each.error is not None]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        names = ", ".join(each.storage.name for each in found if each.error is not None)
        lines = [f"{error}" + (f"\n  try: {error.hint}" if error.hint else "") for error in errors]
        raise ZMountError(f"these have no new index: {names}\n" + "\n".join(lines))
