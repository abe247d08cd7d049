"""A root as it is, with all that repairing its mount points needs to know.

Read from records: nothing of the root is loaded, nothing is acquired.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from zmount.effects.raw_contents import Contents, ask_servers
from zmount.effects.raw_found import FoundReference, found_near
from zmount.effects.raw_reach import Lying, lying_below
from zmount.effects.raw_roots import MountState, RawRoot
from zmount.effects.raw_storages import RawDatabases, data_fs
from zmount.topology.instances import Replica


@dataclass(frozen=True, slots=True, kw_only=True)
class MountSeen:
    """A mount point; why there is no connection to its storage, "" if there is one.

    ``aside`` is how much would be moved aside.
    """

    state: MountState
    why_not: str = ""
    aside: Lying | None = None

    @property
    def virtual(self) -> str:
        """Its path."""
        return self.state.point.virtual


@dataclass(frozen=True, slots=True, kw_only=True)
class RootSeen:
    """An instance's root: its mount points, and the references into other databases near them."""

    is_known: bool
    mounts: tuple[MountSeen, ...] = ()
    crossings: tuple[FoundReference, ...] = ()


def see_root(replica: Replica, paths: Iterable[str] = ()) -> RootSeen:
    """Return what the root of REPLICA holds; looks for references beside PATHS as well.

    :raises StorageUnreadable: a record is damaged, or a file cannot be read
    """
    mounts = replica.instance.mounts
    servers = ask_servers((mount, replica) for mount in mounts)
    contents = Contents(servers).of(replica)
    with RawDatabases(replica) as databases:
        root = RawRoot(mounts, databases)
        if not root.is_known:
            return RootSeen(is_known=False)
        seen = tuple(
            MountSeen(
                state=state,
                why_not=servers.why_not(state.mount, replica),
                aside=_aside(state, databases, replica),
            )
            for state in root.mount_states(contents)
        )
        asked = (*(mount.virtual for mount in seen), *paths)
        return RootSeen(is_known=True, mounts=seen, crossings=_crossings(databases, replica, asked))


def _aside(state: MountState, databases: RawDatabases, replica: Replica) -> Lying | None:
    """Return how much lies at and below what is in the way of a mount point."""
    database = databases.get(state.holder)
    if state.state != "shadowed" or state.found is None or database is None:
        return None
    holder = next(each for each in replica.instance.mounts if each.name == state.holder)
    blobs = holder.storage.blob_dir if data_fs(holder, replica) is not None else None
    return lying_below(
        database,
        state.found.oid,
        above=state.way,
        blob_dir=Path(blobs) if blobs is not None else None,
    )


def _crossings(
    databases: RawDatabases, replica: Replica, paths: Iterable[str]
) -> tuple[FoundReference, ...]:
    """Return the references into other databases in the root's folders on the way to PATHS."""
    database = databases.get(replica.instance.root.name)
    if database is None:
        return ()
    folders = {path.rpartition("/")[0] for path in paths} - {""}
    found = found_near(database, sorted(folders))
    return tuple(each for each in found if each.reference.database)
