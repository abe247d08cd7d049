"""Repair the mount points of instances, up or down.

1. observe: read the records of each root and of the storages that it mounts.
2. plan:    what is in the way goes to the attic, a reference only where it loses nothing;
            what a storage lacks, or what is off-line, is left alone and told.
3. apply:   by the agent of the running instance, or by its own Zope where none runs, in
            one transaction of the root's storage alone.
4. verify:  read the records again, and ask every running process what it shows.

One instance's failure does not stop the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from zmount.effects.credentials import administrator_client
from zmount.effects.offline_state import offline_mounts
from zmount.effects.serving import served
from zmount.errors import RemountFailed, StorageUnreadable, UnknownName, ZMountError
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.mount_repairs import Refusal
from zmount.operations.recorded import recorded
from zmount.operations.remount_look import RootSeen, see_root
from zmount.operations.remount_plan import RemountPlan, RemountScope, plan_remount
from zmount.operations.remounted import Remounted, RemountResult
from zmount.operations.root_changes import (
    answering,
    change_root,
    changed,
    is_answering,
    servers_of,
)
from zmount.plan.offline import Offline
from zmount.plan.remount_steps import ReplaceByMountPoint, SeenAt
from zmount.plan.root_steps import RootStep
from zmount.topology.hosts import Host
from zmount.topology.instances import Instance, Replica
from zmount.topology.processes import Process
from zmount.topology.topology import Topology, nearest

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class RemountWish:
    """What the operator wants: ``paths`` of ``instances``; empty for all there are."""

    instances: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    is_dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Task:
    """One instance to repair; ``paths`` None for all."""

    local: LocalProcesses
    instance: Instance
    replica: Replica
    paths: tuple[str, ...] | None
    offline: Mapping[str, Offline]
    say: Progress

    def look(self, *, is_down: bool) -> tuple[RootSeen, RemountPlan]:
        """Observe and plan; storages that cannot be read now are no matter if IS_DOWN."""
        seen = see_root(self.replica, self.paths or ())
        scope = RemountScope(paths=self.paths, offline=self.offline, is_down=is_down)
        return seen, plan_remount(self.instance, seen, scope)


def remount(
    topology: Topology, host: Host, wish: RemountWish, say: Progress = lambda line: None
) -> RemountResult:
    """Repair what is WISHed on HOST; what fails is in the result, not raised.

    :raises UnknownName: there is no such instance on HOST, or no such mount point
    """
    local = LocalProcesses(topology=topology, host=host)
    must_be_paths(wish.paths)
    tasks = tuple(_tasks(local, wish, say))
    done = tuple(_recorded(task, wish) for task in tasks)
    return RemountResult(instances=done, is_dry_run=wish.is_dry_run)


def must_be_paths(paths: tuple[str, ...]) -> None:
    """Refuse what is no path of an object.

    :raises UnknownName: naming it
    """
    for path in paths:
        names = path.split("/")[1:]
        if not path.startswith("/") or any(name in ("", ".", "..") for name in names):
            raise UnknownName(
                f"{path!r} is no path of an object",
                hint="as in zmount.conf: /home/example.org, from the root, without '..'",
            )


def instances_here(local: LocalProcesses, names: tuple[str, ...]) -> Iterator[Instance]:
    """Yield the instances NAMES, or all that the LOCAL host runs.

    :raises UnknownName: there is none of that name, or it is on another host
    """
    here = [each for each in local.topology.instances if local.host in each.hosts]
    for name in names:
        instance = local.topology.instance(name)
        if instance not in here:
            where = instance.hosts[0].name
            raise UnknownName(
                f"instance {name} runs on host {where}, not on {local.host.name}",
                hint=f"zmount --host {where}, on that machine",
            )
    yield from (each for each in here if not names or each.name in names)


def replica_here(local: LocalProcesses, instance: Instance) -> Replica:
    """Return the first replica of INSTANCE on the LOCAL host; all share one root."""
    return next(each for each in instance.replicas if each.host.name == local.host.name)


def _tasks(local: LocalProcesses, wish: RemountWish, say: Progress) -> Iterator[_Task]:
    """Yield what is to be done in each instance that has one of the paths."""
    tasks = [
        _Task(
            local=local,
            instance=instance,
            replica=replica_here(local, instance),
            paths=wish.paths or None,
            offline={
                each.path: each
                for each in offline_mounts(local.host)
                if each.instance == instance.name
            },
            say=say,
        )
        for instance in instances_here(local, wish.instances)
    ]
    if not wish.paths:
        yield from tasks
        return
    known = {task.instance.name: _known(task) for task in tasks}
    for path in wish.paths:
        if not any(path in paths for paths in known.values()):
            _must_not_be_unmounted(tasks, path)
            virtuals = {path for paths in known.values() for path in paths}
            raise UnknownName(
                f"{', '.join(known)}: no mount point {path} is configured",
                hint=nearest(path, virtuals) or "zmount show names them",
            )
    for task in tasks:
        mine = tuple(path for path in wish.paths if path in known[task.instance.name])
        if mine:
            yield replace(task, paths=mine)


def _must_not_be_unmounted(tasks: list[_Task], path: str) -> None:
    """Refuse the PATH of a mount point that somebody took out of zope.conf for a time.

    :raises RemountFailed: it is one
    """
    for task in tasks:
        said = task.offline.get(path)
        if said is not None and said.is_unmounted:
            raise RemountFailed(
                f"{task.instance.name}: {path} is {said.told}",
                hint=f"zmount online {said.site} puts it back",
            )


def _known(task: _Task) -> frozenset[str]:
    """Return the paths of mount points, and those asked for where a reference stands."""
    virtuals = {p.virtual for mount in task.instance.mounts for p in mount.points if not p.is_root}
    asked = tuple(path for path in task.paths or () if path not in virtuals)
    if asked:
        try:
            seen = see_root(task.replica, asked)
        except StorageUnreadable:
            return frozenset(virtuals)
        virtuals |= {each.path for each in seen.crossings} & set(asked)
    return frozenset(virtuals)


def _recorded(task: _Task, wish: RemountWish) -> Remounted:
    with recorded(
        task.local.topology.file,
        task.local.host.name,
        "remount",
        subjects=[task.instance.name],
        arguments={"paths": " ".join(wish.paths)},
        dry_run=wish.is_dry_run,
    ) as record:
        result = _remounted(task, is_dry_run=wish.is_dry_run)
        record.plan(result.lines)
        if not result.steps:
            record.nothing_to_do()
        record.judged_by(RemountResult(instances=(result,)).refuse_failures)
    return result


def _remounted(task: _Task, *, is_dry_run: bool) -> Remounted:
    result = Remounted(instance=task.instance.name, root=task.instance.root.storage.name)
    try:
        is_down = answering(task.local, task.instance) is None
        seen, plan = task.look(is_down=is_down)
        result = _planned(result, seen, plan)
        if is_dry_run:
            return result if seen.is_known else replace(result, error=_unreadable(task))
        if not plan.steps and seen.is_known:
            return result
        with _served(task, is_down=is_down):
            return _repaired(task, result)
    except ZMountError as why:
        return replace(result, steps=(), error=why)


@contextmanager
def _served(task: _Task, *, is_down: bool) -> Iterator[None]:
    """Let the ZEO servers run that an instance which is down needs."""
    servers = servers_of([task.instance]) if is_down else ()
    with served(task.local.topology, task.local.host, servers, task.say):
        yield


def _planned(result: Remounted, seen: RootSeen, plan: RemountPlan) -> Remounted:
    return replace(
        result,
        steps=plan.steps,
        asides={each.virtual: each.aside for each in seen.mounts if each.aside is not None},
        refused=plan.refused,
        offline=plan.offline,
        notes=plan.notes,
    )


def _repaired(task: _Task, result: Remounted) -> Remounted:
    """Carry out the plan, now that all storages can be read; verify."""
    name = task.instance.name
    seen, plan = task.look(is_down=False)
    result = _planned(result, seen, plan)
    if not seen.is_known:
        return replace(result, steps=(), error=_unreadable(task))
    if not plan.steps:
        return result
    things = "one thing" if len(plan.steps) == 1 else f"{len(plan.steps)} things"
    task.say(f"{name}: repairing {things} in its root")
    came = change_root(
        task.local, task.instance, plan.steps, note=f"zmount: remount {name}", say=task.say
    )
    result = replace(
        result,
        steps=came.done,
        slots={
            step.virtual: str(slot)
            for step, slot in came.answers.items()
            if isinstance(step, ReplaceByMountPoint)
        },
        refused=(*result.refused, *(_undone(step, why) for step, why in came.refused.items())),
    )
    try:
        _must_be_done(task, frozenset(came.refused))
        return replace(result, seen_by=_seen_by(task, seen, came.done))
    except ZMountError as why:  # what was done is told all the same
        return replace(result, error=why)


def _must_be_done(task: _Task, left: frozenset[RootStep]) -> None:
    """Read the root again: nothing but what was LEFT may still be to do.

    :raises RemountFailed: with what is
    """
    _, plan = task.look(is_down=False)
    missing = [step for step in plan.steps if step not in left]
    if missing:
        raise RemountFailed(
            f"{task.instance.name}: Zope said that its root was repaired, but there is still "
            "to " + "; ".join(map(str, missing)),
            hint="somebody may work there right now; zmount remount again",
        )


def _seen_by(task: _Task, seen: RootSeen, done: tuple[RootStep, ...]) -> tuple[str, ...]:
    """Ask each running process here what it shows where something was DONE.

    :raises RemountFailed: one shows something else
    """
    touched = {each for step in done if (each := getattr(step, "virtual", None)) is not None}
    mounts = [
        each
        for each in seen.mounts
        if each.virtual in touched and each.state.content.state != "missing"
    ]
    names = []
    for process in _answering_here(task):
        address = task.local.address_of(process)
        client = administrator_client(task.local.topology, task.local.host, address)
        steps = tuple(SeenAt(virtual=each.virtual) for each in mounts)
        told = client.ask_agent("steps", note="", steps=[step.as_json() for step in steps])
        came = changed(steps, told)
        for mount, step in zip(mounts, steps, strict=True):
            if step in came.refused:
                raise RemountFailed(f"{process.name}: {came.refused[step]}")
            answer = came.answers[step]
            oid = mount.state.content.oid.hex() or answer["oid"]
            if (answer["database"], answer["oid"]) != (mount.state.mount.name, oid):
                raise RemountFailed(
                    f"{process.name}: {mount.virtual} shows another object, of "
                    f"{answer['database']}, than {mount.state.mount.name} holds there",
                    hint=f"zmount restart {process.name}",
                )
        names.append(process.name)
    return tuple(names)


def _answering_here(task: _Task) -> Iterator[Process]:
    for process in task.local.all:
        is_ours = isinstance(process.noun, Replica) and process.noun.instance == task.instance
        if is_ours and is_answering(task.local, process):
            yield process


def _undone(step: RootStep, why: str) -> Refusal:
    return Refusal(what=f"cannot {step}: {why}", hint="put that right, then zmount remount again")


def _unreadable(task: _Task) -> StorageUnreadable:
    return StorageUnreadable(
        f"instance {task.instance.name}: its root {task.instance.root.storage.name} cannot be read",
        hint="zmount status says which ZEO server is away; zmount start starts it",
    )
