"""Copy an object between sandboxes, staging and production.

1. observe: the instance that shows both looks at the source and the target, and refuses
   what would harm: mount points, references into other databases or out of the source.
2. plan:    one step; what is replaced is shown and agreed to first.
3. apply:   in that instance, up or down, in one transaction.
4. verify:  read the target from its storage's records.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zmount.effects.raw_reach import lying_below
from zmount.effects.raw_roots import RawRoot
from zmount.effects.raw_storages import RawDatabases, data_fs
from zmount.errors import ProcessFailed, SandboxRefused
from zmount.filestorage.format import DATA_HEADER
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.push_way import Way, way_of
from zmount.operations.recorded import recorded
from zmount.operations.remount import replica_here
from zmount.operations.root_changes import change_root
from zmount.plan.push_steps import LookAtPush, PushObject
from zmount.plan.root_steps import RootStep
from zmount.sizes import counted
from zmount.topology.hosts import Host
from zmount.topology.topology import Topology

Progress = Callable[[str], None]

_COUNTED = ("objects", "blobs", "blob_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Weight:
    """How much there is of an object with all that it leads to; sizes in bytes.

    ``is_cut``: there is more, which nobody counted.
    """

    class_name: str
    objects: int
    record_bytes: int
    blobs: int
    blob_bytes: int
    is_cut: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "class": self.class_name,
            "objects": self.objects,
            "record_bytes": self.record_bytes,
            "blobs": self.blobs,
            "blob_bytes": self.blob_bytes,
            "is_cut": self.is_cut,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PushPlan:
    """What is to be copied, and what it replaces; None: nothing is there.

    ``catalog`` is the path of the catalog that looks again, "" for none.
    """

    way: Way
    step: PushObject
    copied: Weight
    replaced: Weight | None
    catalog: str

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        source, target = self.way.source, self.way.target
        return {
            "instance": self.way.instance.name,
            "source": {
                "path": source.path,
                "storage": source.mount.storage.name,
                **self.copied.as_json(),
            },
            "target": {
                "path": target.path,
                "storage": target.mount.storage.name,
                "replaced": None if self.replaced is None else self.replaced.as_json(),
            },
            "catalog": self.catalog or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What was copied, or would be.

    ``cataloged`` counts the objects that the catalog looked at, ``uncataloged`` those that
    it forgot. ``root_grew_bytes`` is by how much the file of the instance's root grew
    meanwhile, None where that is not known or is meant.
    """

    plan: PushPlan
    is_done: bool = False
    cataloged: int = 0
    uncataloged: int = 0
    root_grew_bytes: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "done": self.is_done,
            **self.plan.as_json(),
            "cataloged": self.cataloged,
            "uncataloged": self.uncataloged,
            "root_grew_bytes": self.root_grew_bytes,
        }


def plan_push(
    topology: Topology, host: Host, source: str, target: str, say: Progress = lambda line: None
) -> PushPlan:
    """Return what of SOURCE would be copied to TARGET, both ``INSTANCE:PATH``.

    :raises UnknownName: there is no such instance here, or that is no path
    :raises SandboxRefused: it cannot be copied, or would harm something
    :raises ZMountError: as :func:`change_root`
    """
    local = LocalProcesses(topology=topology, host=host)
    way = way_of(local, source, target)
    look = LookAtPush(
        source=way.source.path,
        target=way.target.path,
        root=way.target.root,
        real=way.target.real,
    )
    told = _done(local, way, look, note=f"zmount: {look}", say=say)
    return PushPlan(
        way=way,
        step=PushObject(
            source=look.source,
            target=look.target,
            root=look.root,
            real=look.real,
            oid=told["oid"],
            replaces=told["replaces"],
        ),
        copied=_weight(told),
        replaced=None if told["replaced"] is None else _weight(told["replaced"]),
        catalog=told["catalog"] or "",
    )


def push(
    topology: Topology,
    host: Host,
    plan: PushPlan,
    *,
    note: str = "",
    say: Progress = lambda line: None,
) -> Pushed:
    """Carry out PLAN; NOTE goes into the transaction's description.

    :raises SandboxRefused: it cannot be done; nothing was changed, unless it says so
    :raises ZMountError: as :func:`change_root`
    """
    way, weight = plan.way, plan.copied
    with recorded(
        topology.file,
        host.name,
        "push",
        subjects=[way.instance.name, str(way.source), str(way.target)],
        arguments={"note": note},
    ) as record:
        record.plan([plan.step])
        pushed = _pushed(topology, host, plan, note, say)
        record.numbers(objects=weight.objects, root_grew=pushed.root_grew_bytes)
    return pushed


def _pushed(topology: Topology, host: Host, plan: PushPlan, note: str, say: Progress) -> Pushed:
    local = LocalProcesses(topology=topology, host=host)
    before = _root_size(local, plan.way)
    text = f"zmount: push {plan.way.source} to {plan.way.target}"
    try:
        told = _done(local, plan.way, plan.step, note=f"{text}: {note}" if note else text, say=say)
    except ProcessFailed as why:
        raise ProcessFailed(f"{why}; {_what_became(local, plan)}", hint=why.hint) from None
    after = _root_size(local, plan.way)
    _must_be_there(local, plan, told)
    return Pushed(
        plan=plan,
        is_done=True,
        cataloged=told["cataloged"],
        uncataloged=told["uncataloged"],
        root_grew_bytes=None if before is None or after is None else after - before,
    )


def _done(
    local: LocalProcesses, way: Way, step: RootStep, *, note: str, say: Progress
) -> dict[str, Any]:
    """Do STEP in the instance that shows both; return its answer.

    :raises SandboxRefused: it does not do it
    """
    came = change_root(local, way.instance, (step,), note=note, say=say)
    for why in came.refused.values():
        raise SandboxRefused(
            f"cannot copy {way.source} to {way.target}: {why}",
            hint="nothing was changed; zmount mounts says which mounts are right",
        )
    answer: dict[str, Any] = came.answers[step]
    return answer


def _weight(told: dict[str, Any]) -> Weight:
    return Weight(
        class_name=told["class"],
        objects=told["objects"],
        record_bytes=told["record_bytes"],
        blobs=told["blobs"],
        blob_bytes=told["blob_bytes"],
        is_cut=told["is_cut"],
    )


def _root_size(local: LocalProcesses, way: Way) -> int | None:
    """Return the size of the file of the root's storage, None if the copy goes there."""
    path = data_fs(way.instance.root, replica_here(local, way.instance))
    if path is None or way.touches_root:
        return None
    try:
        return Path(path).stat().st_size
    except OSError:
        return None


def _what_became(local: LocalProcesses, plan: PushPlan) -> str:
    """Say what is at the target now that the instance gave no answer."""
    way = plan.way
    with RawDatabases(replica_here(local, way.instance)) as databases:
        spot = RawRoot(way.instance.mounts, databases).spot(way.target.path)
        if not spot.is_known:
            return f"nobody knows whether anything was copied: {way.target} cannot be read"
        if (None if spot.record is None else spot.record.oid.hex()) == plan.step.replaces:
            return f"nothing was copied by now: {way.target} is what it was"
        return f"it was copied nevertheless: {way.target} is another object now"


def _must_be_there(local: LocalProcesses, plan: PushPlan, told: dict[str, Any]) -> None:
    """Read the target from its storage: it is the copy, all of it.

    :raises SandboxRefused: it is not
    """
    way = plan.way
    with RawDatabases(replica_here(local, way.instance)) as databases:
        spot = RawRoot(way.instance.mounts, databases).spot(way.target.path)
        if not spot.is_known or spot.database is None:
            return  # only Zope itself can read it, and has
        record = spot.record
        if record is not None and record.oid.hex() == told["copy"]:
            found = lying_below(spot.database, record.oid, above=[each.oid for each in spot.way])
            wanted = told["written_record_bytes"] + DATA_HEADER * told["written_objects"]
            is_whole = found.objects == told["written_objects"] and (
                found.record_bytes == wanted or not _is_plain(way)
            )
            if is_whole and all(told[f"imported_{key}"] == told[key] for key in _COUNTED):
                return
            what = f"{counted(found.objects, 'object')} of {counted(found.record_bytes, 'byte')}"
        else:
            what = "nothing" if record is None else "another object"
    raise SandboxRefused(
        f"{way.target}: Zope said that it copied {counted(told['objects'], 'object')}, and "
        f"its storage has {what} there",
        hint="somebody may have worked there right now; Zope's Undo takes the copy back",
    )


def _is_plain(way: Way) -> bool:
    """True if the target's storage keeps records as Zope writes them, not compressed."""
    backend = way.target.mount.storage.backend
    return backend is None or backend.type == "filestorage"
