"""Bring a host's part of the deployment to what the topology says.

1. check:   refuse a topology with errors.
2. render:  the files, each judged by the schema of the program that reads it.
3. plan:    from what is there now; refuse to lose what a person wrote.
4. apply:   finish or undo what an interrupted apply left; then all or nothing,
            journalled.
5. verify:  read everything back.
6. prepare: mount points, users and sessions in the roots of instances that are
            down. What fails here leaves the files as they are.

The history gets an entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from zmount.effects.apply import apply_plan, recover, verify
from zmount.effects.lock import locked
from zmount.effects.person import user_id
from zmount.effects.validate import demand_valid, validate
from zmount.errors import (
    EnvironmentMissing,
    PrepareFailed,
    ProcessFailed,
    StorageUnreadable,
    TopologyError,
)
from zmount.operations.applied import Applied, record_applied
from zmount.operations.left_behind import left_behind
from zmount.operations.outdated import outdated
from zmount.operations.plan_host import plan_host, refuse_conflicts, what_is_wanted
from zmount.operations.prepare import prepare
from zmount.operations.recorded import recorded
from zmount.plan.plan import Plan
from zmount.render.activation import activation
from zmount.render.files import schedule_files
from zmount.topology.check import check
from zmount.topology.hosts import Host
from zmount.topology.processes import processes
from zmount.topology.topology import Topology

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How to apply: what the operator says besides the topology.

    ``overwrites`` files that a person wrote or changed; ``prepares`` the roots.
    """

    is_dry_run: bool = False
    overwrites: bool = False
    prepares: bool = True


def apply(topology: Topology, host: Host, wish: Wish, say: Say) -> Applied:
    """Write HOST's files, make its directories, prepare its instances' roots.

    SAY is told what takes a while. What fails in the roots is in the result.

    :raises TopologyError: the topology has errors
    :raises RenderError: a file would not load in its reader's schema
    :raises EnvironmentMissing: a program or package that the files need is missing
    :raises ApplyRefused: a person wrote or changed a file
    :raises ApplyFailed: a step failed; everything is as it was before
    :raises Locked: another zmount is at work here
    """
    with recorded(
        topology.file,
        host.name,
        "apply",
        subjects=[host.name],
        arguments={"overwrite": wish.overwrites, "prepare": wish.prepares},
        dry_run=wish.is_dry_run,
    ) as record:
        done = _applied(topology, host, wish, say)
        record_applied(record, done)
    return done


def _applied(topology: Topology, host: Host, wish: Wish, say: Say) -> Applied:
    refuse_errors(topology)
    wanted = what_is_wanted(topology, host)
    demand_valid(validate(topology, host, wanted.files))
    plan = refuse_conflicts(plan_host(wanted, overwrite=wish.overwrites), topology)
    if wish.is_dry_run:
        return _with_roots(Applied(plan=plan, is_dry_run=True), topology, host, wish, say)
    with locked(host.directory) as state:
        recovered = recover(state)
        plan = refuse_conflicts(plan_host(wanted, overwrite=wish.overwrites), topology)
        if plan.all_steps:
            apply_plan(plan, state)
            verify(plan)
        done = Applied(
            plan=plan,
            is_dry_run=False,
            recovered=recovered,
            activation=_activation(plan, topology, host),
        )
        done = _with_roots(done, topology, host, wish, say)
    return replace(done, outdated=outdated(topology, host), left_behind=left_behind(topology, host))


def refuse_errors(topology: Topology) -> None:
    """Refuse what no process could run with.

    :raises TopologyError: one line for each error
    """
    errors = [finding for finding in check(topology) if finding.severity == "error"]
    if errors:
        raise TopologyError("\n".join(map(str, errors)), hint="zmount check says all about it")


def _activation(plan: Plan, topology: Topology, host: Host) -> str:
    """Return the command that activates the schedules, if PLAN changes what begins them."""
    paths = {file.path for file in schedule_files(topology, host)}
    is_news = any(step.path in paths for step in plan.file_steps)
    return activation(topology, host, is_root=user_id() == 0) if is_news else ""


def _with_roots(done: Applied, topology: Topology, host: Host, wish: Wish, say: Say) -> Applied:
    if not wish.prepares:
        return done
    try:
        prepared = prepare(topology, host, dry_run=True)
        if prepared.is_changed and not wish.is_dry_run:
            _refuse_outdated_servers(topology, host)
            prepared = prepare(topology, host, progress=say)
    except (PrepareFailed, StorageUnreadable, EnvironmentMissing, ProcessFailed) as why:
        return replace(done, prepare_error=why)
    return replace(done, prepared=replace(prepared, is_dry_run=wish.is_dry_run))


def _refuse_outdated_servers(topology: Topology, host: Host) -> None:
    """Refuse to ask a ZEO server for storages that it may not know yet: Zope would wait."""
    servers = {process.name for process in processes(topology, host) if process.is_zeo}
    names = " ".join(name for name in outdated(topology, host) if name in servers)
    if names:
        raise PrepareFailed(
            f"{names} runs with the zeo.conf of before",
            hint=f"zmount restart {names}, then zmount apply again",
        )
