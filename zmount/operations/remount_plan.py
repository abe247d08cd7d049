"""Which steps repair an instance's mount points, and what is left alone and why.

Pure: judges only by what was seen. What is in the way goes to the attic, never away; a
reference into another database goes only where it refers to exactly what a mount point
shows; nothing is made in a storage that lacks its object; nothing is written to a
mounted storage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from zmount.effects.raw_found import FoundReference
from zmount.effects.raw_storages import is_in_memory, is_read_only
from zmount.operations.mount_repairs import (
    Refusal,
    missing_object,
    mount_point_steps,
    read_only_storages,
)
from zmount.operations.remount_look import MountSeen, RootSeen
from zmount.plan.offline import Offline
from zmount.plan.remount_steps import (
    RemoveReference,
    ReplaceByMountPoint,
    ReplaceReference,
    SetMountPath,
)
from zmount.plan.root_steps import RootStep, StopMaking
from zmount.topology.instances import Instance

_IN_THE_WAY = ("shadowed", "wrong path", "cross-database reference")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemountPlan:
    """The steps for one root, what is refused, and what is off-line and stays so.

    ``notes`` say what the administrator must do himself.
    """

    steps: tuple[RootStep, ...] = ()
    refused: tuple[Refusal, ...] = ()
    offline: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RemountScope:
    """What is to be repaired: the mount points or references at ``paths``, None for all.

    ``offline`` are the mount points that somebody took off-line, by path. ``is_down``
    is True where storages that cannot be read now will be when it comes to it.
    """

    paths: tuple[str, ...] | None
    offline: Mapping[str, Offline]
    is_down: bool = False

    def holds(self, path: str) -> bool:
        """True if what is at PATH is to be repaired."""
        return self.paths is None or path in self.paths


def plan_remount(instance: Instance, seen: RootSeen, scope: RemountScope) -> RemountPlan:
    """Return what repairs those mount points of INSTANCE that SCOPE holds, as they are SEEN."""
    if is_in_memory(instance.root):
        return RemountPlan()  # it is made anew at each start
    planner = _Planner(instance, seen, scope)
    for mount in sorted(seen.mounts, key=lambda each: each.virtual.count("/")):
        if scope.holds(mount.virtual):
            planner.repair(mount)
    planner.remove_strays()
    return planner.plan()


class _Planner:
    """Collects steps and refusals for one root."""

    def __init__(self, instance: Instance, seen: RootSeen, scope: RemountScope) -> None:
        self._instance = instance
        self._seen = seen
        self._scope = scope
        self._read_only = frozenset(m.name for m in instance.mounts if is_read_only(m))
        self._crossings = {each.path: each for each in seen.crossings}
        self._steps: list[RootStep] = []
        self._refused: list[Refusal] = []
        self._offline: list[Refusal] = []
        self._notes: list[str] = []
        self._folders: set[str] = set()  # where something is repaired

    def plan(self) -> RemountPlan:
        """Return what was collected; references go first, for their folders to be written."""
        steps = sorted(self._steps, key=lambda step: not isinstance(step, RemoveReference))
        return RemountPlan(
            steps=tuple(steps),
            refused=tuple(self._refused),
            offline=tuple(self._offline),
            notes=tuple(self._notes),
        )

    def repair(self, mount: MountSeen) -> None:
        """Plan what makes MOUNT right, or say why it is left alone."""
        state = mount.state
        if (offline := self._why_offline(mount)) is not None:
            is_asked_for = self._scope.paths is not None
            (self._refused if is_asked_for else self._offline).append(offline)
            return
        refusal = self._refusal(mount)
        if refusal is not None:
            self._refused.append(refusal)
            if state.makes_missing and self._may_write(mount) and not is_in_memory(state.mount):
                self._steps.append(StopMaking(virtual=mount.virtual))
            return
        steps = tuple(self._repairs(mount))
        self._steps += steps
        if steps:
            self._folders.add(_folder(mount.virtual))
        self._notes += _wrong_id(mount)

    def remove_strays(self) -> None:
        """Plan the end of references beside mount points that refer to what these show."""
        virtuals = {mount.virtual for mount in self._seen.mounts}
        for crossing in self._seen.crossings:
            if crossing.path in virtuals or crossing.path in self._scope.offline:
                continue
            if not self._scope.holds(crossing.path) and _folder(crossing.path) not in self._folders:
                continue
            mount = self._shown_by(crossing)
            if mount is None:
                self._refused.append(_unproven(crossing, self._instance))
            elif self._instance.root.name in self._read_only:
                self._refused.append(_read_only_root(crossing.path))
            else:
                self._steps.append(_removal(crossing, mount))
                self._notes += (note for note in _wrong_id(mount) if note not in self._notes)

    def _repairs(self, mount: MountSeen) -> Iterator[RootStep]:
        state, virtual = mount.state, mount.virtual
        if state.state == "shadowed":
            yield ReplaceByMountPoint(
                virtual=virtual,
                database=state.mount.name,
                makes_missing=is_in_memory(state.mount),
                reason=f"in the way of the mount point of {state.mount.storage.name}",
            )
        elif state.state == "wrong path":
            yield SetMountPath(virtual=virtual)
        elif state.state == "cross-database reference":
            yield from self._instead_of_reference(mount)
        else:
            yield from mount_point_steps(state)

    def _instead_of_reference(self, mount: MountSeen) -> Iterator[RootStep]:
        crossing = self._crossings[mount.virtual]
        shown_by = self._shown_by(crossing)
        assert shown_by is not None  # else it was refused
        if shown_by.virtual == mount.virtual:
            yield ReplaceReference(
                virtual=mount.virtual,
                database=crossing.reference.database,
                oid=crossing.reference.oid.hex(),
            )
        else:
            yield _removal(crossing, shown_by)
            yield from mount_point_steps(mount.state)

    def _refusal(self, mount: MountSeen) -> Refusal | None:
        """Return why MOUNT cannot be repaired, or None."""
        state = mount.state
        refusal = _content_refusal(mount, is_down=self._scope.is_down)
        if refusal is not None or state.state == "ok":
            return refusal
        if state.state == "unknown":
            return Refusal(
                what=f"{mount.virtual}: the storage of {state.detail or '/'} cannot be read",
                hint="zmount status says which ZEO server is away; zmount start starts it",
            )
        if state.holder != self._instance.root.name:
            return _in_mounted_storage(mount)
        return read_only_storages(state, self._read_only) or self._reference_refusal(mount)

    def _reference_refusal(self, mount: MountSeen) -> Refusal | None:
        """Return which reference keeps the folder of MOUNT from being written, or None."""
        crossings = [
            each
            for each in self._seen.crossings
            if _folder(each.path) == _folder(mount.virtual) and self._shown_by(each) is None
        ]
        if not crossings:
            return None
        if crossings[0].path == mount.virtual:
            return _unproven(crossings[0], self._instance)
        known = {each.name for each in self._instance.mounts}
        said = self._instance.root.database.text("allow-implicit-cross-references")
        is_writable = said.lower() not in ("false", "off", "no", "0")
        if is_writable and crossings[0].reference.database in known:
            return None
        return Refusal(
            what=f"{mount.virtual}: its folder cannot be written, as {crossings[0].path} in it is "
            f"a reference into the database {crossings[0].reference.database}",
            hint=_unproven(crossings[0], self._instance).hint,
        )

    def _shown_by(self, crossing: FoundReference) -> MountSeen | None:
        """Return the mount point that shows what CROSSING refers to, None if none does."""
        found = [
            mount
            for mount in self._seen.mounts
            if mount.state.mount.name == crossing.reference.database
            and mount.state.content.state == "ok"
            and mount.state.content.oid == crossing.reference.oid
        ]
        found.sort(key=lambda mount: mount.virtual != crossing.path)  # its own first
        return found[0] if found else None

    def _why_offline(self, mount: MountSeen) -> Refusal | None:
        virtual = mount.virtual
        out = {
            each.virtual: each.state.detail
            for each in self._seen.mounts
            if each.state.state == "off-line"
        }
        listed = self._scope.offline.items()
        out |= {path: each.told.removeprefix("off-line ") for path, each in listed}
        for path, told in out.items():
            if virtual == path or virtual.startswith(path + "/"):
                said = self._scope.offline.get(path)
                site = said.site if said is not None and said.site else "SITE"
                return Refusal(
                    what=f"{virtual}: it is off-line {told}".rstrip(),
                    hint=f"zmount online {site} puts it back",
                )
        return None

    def _may_write(self, mount: MountSeen) -> bool:
        root = self._instance.root.name
        return mount.state.holder == root and root not in self._read_only


def _content_refusal(mount: MountSeen, *, is_down: bool) -> Refusal | None:
    state = mount.state
    storage = state.mount.storage.name
    if is_in_memory(state.mount):
        return None
    if state.content.state == "empty":
        return Refusal(
            what=f"{mount.virtual}: the storage {storage} is empty",
            hint=f"restore {storage} if it held something; if it is new, zmount apply makes "
            f"{state.point.real} in it",
        )
    if state.content.state == "damaged":
        return Refusal(
            what=f"{mount.virtual}: {state.content.detail}",
            hint="zmount verify says what is damaged",
        )
    is_away = mount.why_not or state.content.state == "unknown"
    if is_away and state.state != "ok" and not is_down:
        return Refusal(
            what=f"{mount.virtual}: the storage {storage} cannot be read"
            + (f": {mount.why_not}" if mount.why_not else ""),
            hint="zmount status says which ZEO server is away; zmount start starts it",
        )
    return missing_object(state)


def _in_mounted_storage(mount: MountSeen) -> Refusal:
    in_the_way = mount.state.state in _IN_THE_WAY
    by_hand = "move what is in the way in Zope, then zmount apply"
    return Refusal(
        what=f"{mount.virtual}: its folder lies in the mounted storage {mount.state.holder}, "
        "which remount never writes to",
        hint=by_hand if in_the_way else "zmount apply makes it, while the instance is down",
    )


def _unproven(crossing: FoundReference, instance: Instance) -> Refusal:
    known = {mount.name for mount in instance.mounts}
    what = f"{crossing.path}: a reference into the database {crossing.reference.database} is there"
    if crossing.reference.database not in known:
        return Refusal(
            what=f"{what}, which {instance.name} does not have",
            hint=f"add a <mount> of it to instance {instance.name}: without it Zope cannot load "
            "the folder; then zmount remount says more",
        )
    return Refusal(
        what=f"{what}, to an object that no mount point shows: removing it may lose that object",
        hint="copy the object in Zope into the site where it belongs, then delete it there",
    )


def _read_only_root(path: str) -> Refusal:
    return Refusal(
        what=f"{path}: the root is read-only",
        hint="repair it through an instance that may write there",
    )


def _removal(crossing: FoundReference, mount: MountSeen) -> RemoveReference:
    return RemoveReference(
        path=crossing.path,
        virtual=mount.virtual,
        database=crossing.reference.database,
        oid=crossing.reference.oid.hex(),
    )


def _wrong_id(mount: MountSeen) -> Iterator[str]:
    """Yield that an object takes another id for its own than its folder knows it by."""
    content, name = mount.state.content, mount.state.point.real.rpartition("/")[2]
    if name and content.own_id and content.own_id != name:
        yield (
            f"{mount.virtual}: the object calls itself {content.own_id!r}, not {name!r}, and so do "
            f"its URLs: whoever renamed it wrote that into {mount.state.mount.storage.name}, "
            "where remount writes nothing; zmount mounts says how to put it right"
        )


def _folder(path: str) -> str:
    return path.rpartition("/")[0]
