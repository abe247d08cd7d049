"""What was moved aside: list it, put an object back, or drop it.

1. observe: read the attic of each root from its records.
2. plan:    one step; an object goes back only where nothing is.
3. apply:   by the agent of the running instance, or by its own Zope where none runs.
4. verify:  read the attic again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zmount.effects.raw_attic import ATTIC, AtticObject, attic_objects
from zmount.effects.raw_roots import RawRoot
from zmount.effects.raw_storages import RawDatabases, data_fs
from zmount.errors import RemountFailed, StorageUnreadable, UnknownName
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.recorded import recorded
from zmount.operations.remount import instances_here, must_be_paths, replica_here
from zmount.operations.root_changes import change_root
from zmount.plan.remount_steps import DropFromAttic, RestoreFromAttic
from zmount.plan.root_steps import RootStep
from zmount.topology.hosts import Host
from zmount.topology.instances import Instance
from zmount.topology.topology import Topology, nearest

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class InAttic:
    """An object in the attic of ``instance``, whose root is the storage ``root``."""

    instance: str
    root: str
    found: AtticObject

    def as_json(self) -> dict[str, Any]:
        """Return plain values; sizes are in bytes."""
        return {
            "instance": self.instance,
            "root": self.root,
            "id": self.found.slot,
            "path": self.found.path,
            "class": self.found.class_name or None,
            "objects": self.found.size.objects,
            "size_bytes": self.found.size.size_bytes,
            "since": self.found.since,
            "reason": self.found.reason,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class AtticChange:
    """What is to be done, or was, with one object in the attic."""

    of: InAttic
    step: RootStep
    is_done: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        step = self.step.as_json() | {"text": str(self.step)}
        return {"done": self.is_done, "step": step, "object": self.of.as_json()}


def list_attic(topology: Topology, host: Host, names: tuple[str, ...] = ()) -> tuple[InAttic, ...]:
    """Return what lies in the attics of the instances NAMES on HOST, or of all.

    :raises UnknownName: there is no such instance on HOST
    :raises StorageUnreadable: a root cannot be read
    """
    local = LocalProcesses(topology=topology, host=host)
    return tuple(
        each for instance in instances_here(local, names) for each in _attic(local, instance)
    )


def plan_restore(
    topology: Topology, host: Host, among: tuple[InAttic, ...], slot: str, to: str | None
) -> AtticChange:
    """Return what puts SLOT, one AMONG the attic's, back where it was, or at the path TO.

    :raises UnknownName: it is not there, or TO is no path
    :raises RemountFailed: something is there already, or belongs there
    """
    one = _one(among, slot)
    path = to or one.found.path
    must_be_paths((path,))
    local = LocalProcesses(topology=topology, host=host)
    why = _why_not(local, topology.instance(one.instance), path)
    if why:
        raise RemountFailed(
            f"{one.instance}: {one.found.slot} cannot go to {path}: {why}",
            hint="--to names another place, as --to /found",
        )
    return AtticChange(of=one, step=RestoreFromAttic(slot=one.found.slot, path=path))


def plan_drop(among: tuple[InAttic, ...], slot: str) -> AtticChange:
    """Return what removes SLOT, one AMONG the attic's, for good.

    :raises UnknownName: it is not there
    """
    one = _one(among, slot)
    return AtticChange(of=one, step=DropFromAttic(slot=one.found.slot))


def change_attic(
    topology: Topology, host: Host, change: AtticChange, say: Progress = lambda line: None
) -> AtticChange:
    """Do CHANGE; return it done.

    :raises RemountFailed: it cannot be done; nothing was changed
    :raises ZMountError: as :func:`change_root`
    """
    subjects = [change.of.instance, change.of.found.slot]
    with recorded(topology.file, host.name, "attic", subjects=subjects) as record:
        record.plan([change.step])
        return _changed(topology, host, change, say)


def _changed(topology: Topology, host: Host, change: AtticChange, say: Progress) -> AtticChange:
    local = LocalProcesses(topology=topology, host=host)
    instance = topology.instance(change.of.instance)
    step, slot = change.step, change.of.found.slot
    came = change_root(local, instance, (step,), note=f"zmount: {step}", say=say)
    if step in came.refused:
        where = " (--to names another place)" if isinstance(step, RestoreFromAttic) else ""
        raise RemountFailed(
            f"{instance.name}: cannot {step}: {came.refused[step]}",
            hint=f"zmount attic {instance.name} lists what is there{where}",
        )
    if any(each.found.slot == slot for each in _attic(local, instance)):
        raise RemountFailed(
            f"{instance.name}: {slot} is still in the attic",
            hint="somebody may work there right now; try again",
        )
    return replace(change, is_done=True)


def _attic(local: LocalProcesses, instance: Instance) -> tuple[InAttic, ...]:
    replica, root = replica_here(local, instance), instance.root.storage.name
    blobs = instance.root.storage.blob_dir if data_fs(instance.root, replica) else None
    with RawDatabases(replica) as databases:
        found = attic_objects(
            RawRoot(instance.mounts, databases), Path(blobs) if blobs is not None else None
        )
    if found is None:
        raise StorageUnreadable(
            f"instance {instance.name}: its root {root} cannot be read",
            hint="zmount status says which ZEO server is away; zmount start starts it",
        )
    return tuple(InAttic(instance=instance.name, root=root, found=each) for each in found)


def _why_not(local: LocalProcesses, instance: Instance, path: str) -> str:
    """Return why nothing can be put at PATH; "" if something can."""
    if path == ATTIC or path.startswith(f"{ATTIC}/"):
        return "that is in the attic"
    for mount in instance.mounts:
        if any(point.virtual == path for point in mount.points):
            return f"{mount.storage.name} is mounted there"
    with RawDatabases(replica_here(local, instance)) as databases:
        spot = RawRoot(instance.mounts, databases).spot(path)
        if spot.value is not None:
            return "something is there"
        if spot.is_known and spot.parent is None:
            return f"there is no {spot.ends_at}"
        if spot.is_known and spot.holder != instance.root.name:
            return f"that is in the mounted storage {spot.holder}"
    return ""


def _of(name: str) -> str:
    """Return what the folders of objects called NAME are called, in the attic."""
    return rf"{re.escape(name)}\.\d{{8}}T\d{{6}}Z(\.\d+)?"


def _one(among: tuple[InAttic, ...], slot: str) -> InAttic:
    found = [each for each in among if each.found.slot == slot]
    found = found or [each for each in among if re.fullmatch(_of(slot), each.found.slot)]
    if not found:
        raise UnknownName(
            f"there is no {slot!r} in the attic",
            hint=nearest(slot, [each.found.slot for each in among]) or "zmount attic lists it",
        )
    if len(found) > 1:
        ids = ", ".join(f"{each.instance} {each.found.slot}" for each in found)
        raise UnknownName(f"{slot} may be any of: {ids}", hint="name the instance, and all of ID")
    return found[0]
