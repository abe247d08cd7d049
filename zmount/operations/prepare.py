"""Make the roots of instances right, while these are down.

1. observe: read the records of each root and of the storages that it mounts.
2. plan:    make what is missing, refuse where something else is in the way.
3. apply:   in the instance's own Zope, with its ZEO servers, in one transaction.
4. verify:  read the records again; the plan for them must be empty.

A root that is right is only read, which takes some hundredths of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from zmount.effects.administrator_file import administrator_file, password
from zmount.effects.file_lock import writer
from zmount.effects.offline_state import offline_mounts
from zmount.effects.raw_roots import RawRoot
from zmount.effects.raw_storages import RawDatabases, data_fs
from zmount.effects.serving import served
from zmount.effects.zope_script import run_in_zope
from zmount.errors import OfflineFailed, PrepareFailed
from zmount.operations.mount_repairs import Refusal
from zmount.operations.prepare_plan import RootPlan, Seen, plan_root, see
from zmount.operations.prepared import Prepared, PreparedRoot
from zmount.operations.recorded import recorded
from zmount.operations.root_changes import changed, servers_of
from zmount.plan.offline import Offline
from zmount.plan.root_steps import MakeAdministrator, MakeContent, MakeMountPoint, RootStep
from zmount.topology.hosts import Host
from zmount.topology.instances import Instance, Replica
from zmount.topology.processes import processes
from zmount.topology.sessions import SessionData
from zmount.topology.topology import Topology

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """A root as it is, and what is to be done about it."""

    replica: Replica
    seen: Seen
    plan: RootPlan

    @property
    def instance(self) -> Instance:
        return self.replica.instance


def prepare(
    topology: Topology,
    host: Host,
    *,
    names: Iterable[str] | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Prepared:
    """Make the mount points, containers, users and sessions of HOST's instances.

    NAMES are instances or their processes; None is all of them. Replicas share
    a root, which is prepared once.

    :raises PrepareFailed: a ZEO server is away, or Zope could not do it
    :raises StorageUnreadable: a storage cannot be opened, or is damaged
    :raises EnvironmentMissing: an instance's environment or configuration is
    """
    say = progress or _say_nothing
    looks = [_look(topology, replica) for replica in _replicas(topology, host, names)]
    needed = () if dry_run else servers_of(look.instance for look in looks if look.plan.steps)
    to_do = [look.instance.name for look in looks if look.plan.steps]
    with (
        recorded(
            topology.file, host.name, "prepare", subjects=to_do, dry_run=dry_run or not to_do
        ) as record,
        served(topology, host, needed, say),
    ):
        roots = tuple(
            _make(topology, look, say)
            if look.plan.steps and not dry_run
            else PreparedRoot(
                instance=look.instance.name, made=look.plan.steps, refused=look.plan.refused
            )
            for look in looks
        )
        record.plan(f"{root.instance}: {step}" for root in roots for step in root.made)
    return Prepared(
        roots=roots,
        is_dry_run=dry_run,
        password_file=None if dry_run else _new_password_file(topology, host, roots),
    )


def _replicas(topology: Topology, host: Host, names: Iterable[str] | None) -> Iterator[Replica]:
    """Yield one process of each instance that is wanted and runs on HOST."""
    wanted = None if names is None else frozenset(names)
    for instance in topology.instances:
        here = [replica for replica in instance.replicas if replica.host.name == host.name]
        known = {instance.name, *(replica.name for replica in here)}
        if here and (wanted is None or wanted & known):
            yield here[0]


def _look(topology: Topology, replica: Replica) -> _Look:
    """Observe and plan; a root that is in use is left alone."""
    session = _session(topology, replica.instance)
    with RawDatabases(replica) as databases:
        seen = see(RawRoot(replica.instance.mounts, databases), replica.instance, session)
    plan = plan_root(replica.instance, seen, session, topology.administrator, _offline(replica))
    in_use = _in_use(replica) if plan.steps else None
    if in_use is not None:
        plan = RootPlan(refused=(*plan.refused, in_use))
    return _Look(replica=replica, seen=seen, plan=plan)


def _offline(replica: Replica) -> dict[str, Offline]:
    """Return what is off-line in REPLICA's instance, by path."""
    try:
        known = offline_mounts(replica.host)
    except OfflineFailed as why:
        raise PrepareFailed(str(why), hint=why.hint) from None
    return {each.path: each for each in known if each.instance == replica.instance.name}


def _session(topology: Topology, instance: Instance) -> SessionData | None:
    """Return the deployment's sessions if INSTANCE mounts them."""
    session = topology.session
    if session is None:
        return None
    is_mounted = any(
        mount.storage.name == session.storage.name and point.virtual == session.path
        for mount in instance.mounts
        for point in mount.points
    )
    return session if is_mounted else None


def _in_use(replica: Replica) -> Refusal | None:
    """Return that the root's FileStorage is open for writing, if it is.

    A root on ZEO may be changed while its instance runs.
    """
    mount = replica.instance.root
    path = data_fs(mount, replica)
    by = writer(path) if path is not None and mount.storage.server is None else None
    if by is None:
        return None
    name = replica.instance.name
    return Refusal(
        what=f"instance {name} is running, {by} has {path} open: its root cannot be changed",
        hint=f"zmount restart {name}, which does it in between",
    )


def _make(topology: Topology, look: _Look, say: Progress) -> PreparedRoot:
    """Carry out the plan of a root, now that all its storages can be read."""
    look = _look(topology, look.replica)
    name, steps = look.instance.name, look.plan.steps
    if not steps:
        return PreparedRoot(instance=name, refused=look.plan.refused)
    things = "one thing" if len(steps) == 1 else f"{len(steps)} things"
    say(f"{name}: making {things} in its root and its storages")
    process = next(
        each for each in processes(topology, look.replica.host) if each.noun == look.replica
    )
    result = run_in_zope(
        process,
        {
            "zope_conf": str(look.replica.zope_conf),
            "note": f"zmount: prepare {name}",
            "steps": [_spelled_out(step, topology, look.replica.host) for step in steps],
        },
    )
    came = changed(steps, result)
    _verify(topology, look.replica, came.refused)
    return PreparedRoot(
        instance=name,
        made=came.done,
        refused=look.plan.refused + tuple(_undone(came.refused)),
    )


def _undone(left: Mapping[RootStep, str]) -> Iterator[Refusal]:
    """Yield why steps were LEFT undone; of a mount that lacks its object only that."""
    lost = {step.database for step in left if isinstance(step, MakeContent)}
    for step, why in left.items():
        if not isinstance(step, MakeMountPoint) or step.database not in lost:
            hint = "put that right, then zmount apply again"
            yield Refusal(what=f"cannot {step}: {why}", hint=hint)


def _spelled_out(step: RootStep, topology: Topology, host: Host) -> dict[str, Any]:
    """Return STEP for the script, with the password where it needs one."""
    if isinstance(step, MakeAdministrator):
        assert topology.administrator is not None
        secret = password(topology.administrator, host)
        return {**step.as_json(), "password": secret.reveal()}
    return step.as_json()


def _verify(topology: Topology, replica: Replica, left: Iterable[RootStep]) -> None:
    """Read the root again: nothing but what was LEFT may still be to do.

    :raises PrepareFailed: with what is still missing
    """
    after = _look(topology, replica)
    left = set(left)
    missing = [step for step in after.plan.steps if step not in left]
    if missing and after.seen.is_known:
        raise PrepareFailed(
            f"{replica.instance.name}: Zope said that its root was made right, but there is "
            "still to " + "; ".join(map(str, missing)),
            hint="its storages may have been written to meanwhile; zmount apply again",
        )


def _new_password_file(
    topology: Topology, host: Host, roots: tuple[PreparedRoot, ...]
) -> str | None:
    administrator = topology.administrator
    if administrator is None or administrator.password is not None:
        return None
    is_new = any(isinstance(step, MakeAdministrator) for root in roots for step in root.made)
    return str(administrator_file(host)) if is_new else None


def _say_nothing(_: str) -> None:
    pass
