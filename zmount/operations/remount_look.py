"""A root as it is, with all that repairing its mount points needs to know.

Read from records: nothing of the root is loaded, nothing is acquired.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from zmount.effects.objects_below import Below, below
from zmount.effects.raw_folders import is_tree, tree_items
from zmount.effects.raw_records import RawDatabase, Record, Reference
from zmount.effects.raw_roots import MountState, RawRoot, object_at
from zmount.effects.raw_storages import RawDatabases
from zmount.topology.instances import Instance, Replica
from zmount.topology.mounts import MountPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A reference into another database that stands at ``path``; ``oid`` is hex."""

    path: str
    database: str
    oid: str

    @property
    def folder(self) -> str:
        """The path of the folder that holds it, "" for the root."""
        return self.path.rpartition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What a mounted storage holds at a real path; ``own_id`` is what it takes for its id."""

    oid: str
    own_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MountSeen:
    """A mount point, and what its storage holds for it (None: nothing, or it cannot be read).

    ``aside`` is how much would be moved aside.
    """

    state: MountState
    shown: Shown | None = None
    aside: Below | None = None

    @property
    def virtual(self) -> str:
        """Its path."""
        return self.state.point.virtual


@dataclass(frozen=True, slots=True, kw_only=True)
class RootSeen:
    """An instance's root: its mount points, and the references that are in folders of these."""

    is_known: bool
    mounts: tuple[MountSeen, ...] = ()
    crossings: tuple[Crossing, ...] = ()


def see_root(instance: Instance, replica: Replica, paths: Iterable[str] = ()) -> RootSeen:
    """Return what the root of INSTANCE holds; looks for references beside PATHS as well.

    :raises StorageUnreadable: a record is damaged, or a file cannot be read
    """
    with RawDatabases(replica) as databases:
        root = RawRoot(instance.mounts, databases)
        if not root.is_known:
            return RootSeen(is_known=False)
        states = root.mount_states()
        virtuals = [state.point.virtual for state in states]
        return RootSeen(
            is_known=True,
            mounts=tuple(_mount_seen(root, databases, state) for state in states),
            crossings=tuple(_crossings(root, instance.root.name, (*virtuals, *paths))),
        )


def _mount_seen(root: RawRoot, databases: RawDatabases, state: MountState) -> MountSeen:
    aside = _aside(root, state) if state.state == "shadowed" else None
    database = databases.get(state.mount.name)
    shown = None if database is None else _shown(database, state.point)
    return MountSeen(state=state, shown=shown, aside=aside)


def _shown(database: RawDatabase, point: MountPoint) -> Shown | None:
    record = object_at(database, point)
    if record is None:
        return None
    own = record.attributes.get("id") or record.attributes.get("__name__")
    return Shown(oid=record.oid.hex(), own_id=own if isinstance(own, str) else "")


def _aside(root: RawRoot, state: MountState) -> Below | None:
    """Return how much lies at and below what is in the way of a mount point."""
    spot = root.spot(state.point.virtual)
    record = spot.record
    if record is None or spot.database is None or spot.parent is None:
        return None
    return below(spot.database, record.oid, but=frozenset((spot.parent.oid,)))


def _crossings(root: RawRoot, holder: str, paths: Iterable[str]) -> Iterator[Crossing]:
    """Yield the references into other databases in the folders, of the root's, of PATHS."""
    for folder in dict.fromkeys(path.rpartition("/")[0] for path in paths):
        spot = root.spot(f"{folder}/x")  # whatever: its parent is asked for
        if spot.holder != holder or spot.parent is None or spot.database is None:
            continue
        for name, value in _values(spot.database, spot.parent):
            if isinstance(value, Reference) and value.database and not value.is_weak:
                yield Crossing(
                    path=f"{folder}/{name}", database=value.database, oid=value.oid.hex()
                )


def _values(database: RawDatabase, folder: Record) -> Iterator[tuple[object, object]]:
    yield from folder.attributes.items()
    if is_tree(folder):
        yield from tree_items(database, folder.attributes["_tree"])
