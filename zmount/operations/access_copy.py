"""Bring the access rules in the root of one instance to that of another.

1. observe: compare the two roots.
2. plan:    one step for each rule that can be brought over, the rest is told.
3. apply:   compare again: the plan must still be right. Then in the target's own Zope, up or
   down, in one transaction. Hashes of passwords go with the steps, and nowhere else.
4. verify:  read both roots again; nothing that was brought over may differ, also where the
   Zope stopped before it answered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zmount.effects.raw_storages import is_read_only
from zmount.errors import (
    AccessCopyRefused,
    AccessDiffers,
    PrepareFailed,
    ProcessFailed,
    ZMountError,
)
from zmount.operations.access import Compared, Pair, compare
from zmount.operations.access_plan import CopyPlan, CopyWish, differences, plan_copy
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.recorded import recorded
from zmount.operations.root_changes import change_root
from zmount.plan.access_rules import Key, RootRules, User
from zmount.plan.access_steps import SetUser
from zmount.plan.root_steps import RootStep
from zmount.topology.hosts import Host
from zmount.topology.instances import Instance
from zmount.topology.topology import Topology

Ask = Callable[[CopyPlan], bool]
Watcher = Callable[[CopyPlan | str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What came of a copy: ``after`` is how the roots differ now; None for a dry run."""

    plan: CopyPlan
    before: Compared
    after: Compared | None
    done: tuple[RootStep, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values; no hash is among them."""
        return {
            **(self.after or self.before).as_json(),
            "copied_from": self.plan.source,
            "copied_to": self.plan.target,
            "is_dry_run": self.after is None,
            "steps": [str(step) for step in self.plan.steps],
            "done": [str(step) for step in self.done],
            "left_alone": list(self.plan.left_alone),
        }


def copy(
    topology: Topology, host: Host, pair: Pair, wish: CopyWish, watch: Watcher, ask: Ask | None
) -> Copied:
    """Bring the rules that WISH wants to the other root of PAIR.

    WATCH gets the plan, then what goes on. Without ASK, as for a script, WISH itself must
    say that the plan is agreed to.

    :raises AccessCopyRefused: it is not agreed to, or would be another by now
    :raises AccessDiffers: a rule is not what it should be now
    :raises UnknownName: the source is neither of PAIR
    """
    target = pair.other(wish.source)
    with recorded(
        topology.file,
        host.name,
        "access",
        subjects=[target.name],
        arguments={"copy_from": wish.source, "remove_users": wish.removes_users},
        dry_run=wish.is_dry_run,
    ) as record:
        copied = _copied(topology, host, pair, wish, watch, ask)
        record.plan(copied.done)
        if not copied.plan.steps:
            record.nothing_to_do()
    return copied


def _copied(
    topology: Topology, host: Host, pair: Pair, wish: CopyWish, watch: Watcher, ask: Ask | None
) -> Copied:
    target = pair.other(wish.source)
    before = compare(host, pair)
    plan = _plan(topology, pair, wish, before)
    watch(plan)
    if wish.is_dry_run:
        return Copied(plan=plan, before=before, after=None)
    if not plan.steps:
        return Copied(plan=plan, before=before, after=before)
    _must_be_writable(host, target)
    _must_be_agreed(plan, wish, ask)
    seen = compare(host, pair)
    _must_be_same(plan, _plan(topology, pair, wish, seen))
    local = LocalProcesses(topology=topology, host=host)
    note = f"zmount: access rules of {plan.source}"
    source = seen.of(plan.source)
    try:
        came = change_root(
            local,
            target,
            plan.steps,
            note=note,
            say=watch,
            spelled=lambda step: _spelled_out(step, source),
        )
    except (ProcessFailed, PrepareFailed) as failed:  # its Zope stopped, before or after it did it
        after = compare(host, pair)
        _refuse_undone(plan, _plan(topology, pair, wish, after), failed)
        watch(f"{failed}; but all was done")
        return Copied(plan=plan, before=before, after=after, done=plan.steps)
    after = compare(host, pair)
    _verify(plan, _plan(topology, pair, wish, after), came.refused)
    return Copied(plan=plan, before=before, after=after, done=came.done)


def _must_be_agreed(plan: CopyPlan, wish: CopyWish, ask: Ask | None) -> None:
    if wish.is_agreed or (ask is not None and ask(plan)):
        return
    raise AccessCopyRefused(
        f"nothing was brought from {plan.source} to {plan.target}: nobody agreed to the plan",
        hint="--dry-run shows it; a terminal asks, a script must say --yes",
    )


def _must_be_same(plan: CopyPlan, again: CopyPlan) -> None:
    """Refuse a plan that is not what it would be AGAIN, now that it was agreed to."""
    if again != plan:
        raise AccessCopyRefused(
            f"nothing was brought from {plan.source} to {plan.target}: one of the roots was "
            "changed meanwhile, and the plan would be another",
            hint="the same command again shows it",
        )


def _refuse_undone(plan: CopyPlan, again: CopyPlan, failed: ZMountError) -> None:
    """Raise what FAILED, unless nothing of PLAN is to be done AGAIN.

    :raises ZMountError: of the same kind, saying that nothing was changed
    """
    if any(step in plan.steps for step in again.steps):
        raise type(failed)(f"{failed}; nothing was changed", hint=failed.hint) from None


def _plan(topology: Topology, pair: Pair, wish: CopyWish, seen: Compared) -> CopyPlan:
    source, target = seen.of(wish.source), seen.of(pair.other(wish.source).name)
    administrator = topology.administrator
    return plan_copy(
        wish,
        source,
        target,
        differences(source, target, with_passwords=pair.with_passwords),
        keeps=frozenset() if administrator is None else frozenset((administrator.name,)),
    )


def _spelled_out(step: RootStep, source: RootRules) -> dict[str, Any]:
    """Return STEP for the agent, with the hash where it needs one."""
    if not isinstance(step, SetUser):
        return step.as_json()
    user = source.objects[step.folder][Key("user", step.user)]
    assert isinstance(user, User)
    password = None if user.password is None else user.password.reveal()
    return {**step.as_json(), "password": password, "is_bytes": user.is_bytes}


def _verify(plan: CopyPlan, again: CopyPlan, refused: Mapping[RootStep, str]) -> None:
    """Refuse to call it done where steps of PLAN are still to be done AGAIN."""
    missing = [str(step) for step in again.steps if step in plan.steps]
    if refused:
        raise AccessDiffers(
            f"{plan.target}: "
            + "; ".join(f"cannot {step}: {why}" for step, why in refused.items()),
            hint="the other rules are brought over; zmount access shows what differs",
        )
    if missing:
        raise AccessDiffers(
            f"{plan.target}: its Zope said that all was done, but there is still to do: "
            + "; ".join(missing),
            hint="somebody may have changed the root meanwhile; the same command again",
        )


def _must_be_writable(host: Host, target: Instance) -> None:
    if all(each.name != host.name for each in target.hosts):
        raise AccessDiffers(
            f"{target.name} runs on host {target.hosts[0].name}, not on {host.name}",
            hint=f"zmount access on {target.hosts[0].name}",
        )
    if is_read_only(target.root):
        raise AccessDiffers(
            f"the root of {target.name} is read-only",
            hint="bring the rules over through an instance that may write there",
        )
