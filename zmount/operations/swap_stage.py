"""Replace the content of sites' staging by production's, or put back what was there before.

1. observe: what do both storages hold, and has staging changes of its own?
2. plan:    refuse to drop changes that nobody gave up; is there room?
3. apply:   the ZEO server makes a new generation and switches to it, under its
            clients; where no server runs, a process of ours does, on the files, and
            persistent caches of clients that do not run are removed.
4. verify:  a fresh client reads production's moment through staging, and the
            instances that mount it answer.
5. record:  an entry in the history for each.

One site's failure does not stop the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from zmount.effects.clock import Stopwatch, now
from zmount.effects.stage_files import StageState, stage_state
from zmount.effects.stages import Offline, tell_server
from zmount.errors import SwapFailed, ZMountError
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.recorded import Record, recorded
from zmount.operations.swap_caches import ClientCache, remove_caches
from zmount.operations.swap_look import chosen_sites, look
from zmount.operations.swap_plan import (
    SwapPlan,
    SwapWish,
    must_be_told,
    plan_swap,
    refusal_of_changes,
    state_json,
)
from zmount.operations.swap_sights import Sight, onlookers, refuse_blindness
from zmount.operations.swap_verify import must_show_moment
from zmount.render.pack_conf import pack_conf
from zmount.sizes import counted
from zmount.tids import tid_text
from zmount.topology.hosts import Host
from zmount.topology.sites import Site
from zmount.topology.topology import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Swapped:
    """What became of ``site``.

    ``plan`` is None where not even that could be made; ``state`` is what staging shows
    now, None where nothing was done. ``told`` is what the server said of how it did it.
    ``compared`` objects of production's last transaction were found on staging.
    ``sights`` are the instances that mount it, as they see it; ``caches`` what became of
    clients' persistent caches, where no server could tell these what to forget.
    """

    site: Site
    plan: SwapPlan | None = None
    at: float = 0.0
    seconds: float = 0.0
    state: StageState | None = None
    told: dict[str, Any] = field(default_factory=dict)
    compared: int = 0
    sights: tuple[Sight, ...] = ()
    caches: tuple[ClientCache, ...] = ()
    error: ZMountError | None = None
    notes: tuple[str, ...] = ()

    @property
    def done(self) -> str:
        """In a word or two."""
        if self.error is not None:
            return "failed" if self.state is not None else "refused"
        if self.state is None:
            return "planned"
        return "undone" if self.plan is not None and self.plan.wish.undoes else "swapped"

    def as_json(self) -> dict[str, Any]:
        """Return plain values; sizes are in bytes."""
        return {
            "site": self.site.name,
            "storage": self.site.staging.name if self.site.staging is not None else None,
            "done": self.done,
            "plan": None if self.plan is None else self.plan.as_json(),
            "at": self.at or None,
            "seconds": round(self.seconds, 3),
            "staging": None if self.state is None else state_json(self.state, None),
            "why_copied": self.told.get("why_copied") or None,
            "blobs_taken": self.told.get("blobs_taken"),
            "production_locked_s": self.told.get("production_locked_s"),
            "objects_compared": self.compared,
            "instances": [each.as_json() for each in self.sights],
            "caches": [each.as_json() for each in self.caches],
            "notes": list(self.notes),
            "error": None if self.error is None else str(self.error),
            "hint": None if self.error is None else self.error.hint,
        }


Event: TypeAlias = "SwapPlan | tuple[str, str, int, int] | Swapped"
Watcher: TypeAlias = Callable[[Event], None]
"""Is told each plan, how far a swap is (site, phase, done, in all), and what became of it."""
Ask: TypeAlias = Callable[[SwapPlan], bool]
"""Asks the operator whether the changes that a plan drops may go."""


def swap_stage(
    topology: Topology, host: Host, wish: SwapWish, watch: Watcher, ask: Ask | None = None
) -> tuple[Swapped, ...]:
    """Do what is WISHed on HOST; what fails is in the result, not raised.

    Without ASK, a script's changes on staging are never dropped unasked.

    :raises UnknownName: there is no such site on HOST
    :raises SwapRefused: there is no site to swap
    """
    local = LocalProcesses(topology=topology, host=host)
    planned = [_planned(site, local, wish) for site in chosen_sites(local, wish)]
    for each in planned:
        if each.plan is not None:
            watch(each.plan)
    asked = planned if wish.is_dry_run else [_allowed(each, ask) for each in planned]
    results = []
    for each in asked:
        if each.error is None and each.plan is not None and not wish.is_dry_run:
            each = _carried_out(each.plan, local, watch)
        elif each.error is not None and not wish.is_dry_run:
            _refused(each, local, wish)
        watch(each)
        results.append(each)
    return tuple(results)


def refuse_failures(results: tuple[Swapped, ...]) -> None:
    """Raise what went wrong, if anything did.

    :raises ZMountError: the one failure as it was, or several in lines of their own
    """
    failures = [(each.site.name, each.error) for each in results if each.error is not None]
    if len(failures) == 1:
        raise failures[0][1]
    if failures:
        names = ", ".join(name for name, _ in failures)
        lines = [
            f"{name}: {error}" + (f"\n  try: {error.hint}" if error.hint else "")
            for name, error in failures
        ]
        what = f"{len(failures)} of {len(results)} sites went wrong: {names}"
        raise SwapFailed("\n".join((what, *lines)))


def _planned(site: Site, local: LocalProcesses, wish: SwapWish) -> Swapped:
    try:
        plan = plan_swap(look(site, local), wish)
    except ZMountError as why:
        return Swapped(site=site, error=why)
    return Swapped(site=site, plan=plan, error=plan.error)


def _allowed(planned: Swapped, ask: Ask | None) -> Swapped:
    """Return what is PLANNED, refused where changes would go that nobody gave up."""
    plan = planned.plan
    if planned.error is not None or plan is None or not must_be_told(plan):
        return planned
    if ask is not None and ask(plan):
        return planned
    return Swapped(site=planned.site, plan=plan, error=refusal_of_changes(plan))


def _carried_out(plan: SwapPlan, local: LocalProcesses, watch: Watcher) -> Swapped:
    """Swap, verify, record."""
    with _recorded(plan.site, local, plan.wish) as record:
        result = _swapped(plan, local, watch)
        _tell(record, result, plan)
    return result


def _refused(result: Swapped, local: LocalProcesses, wish: SwapWish) -> None:
    """Record what was not even tried."""
    with _recorded(result.site, local, wish) as record:
        record.failed(result.error)


def _recorded(site: Site, local: LocalProcesses, wish: SwapWish) -> AbstractContextManager[Record]:
    staging = [] if site.staging is None else [site.staging.name]
    return recorded(
        local.topology.file,
        local.host.name,
        "swap-stage",
        subjects=[site.name, *staging],
        arguments={"mode": wish.mode, "undo": wish.undoes, "drop_changes": wish.drops_changes},
    )


def _swapped(plan: SwapPlan, local: LocalProcesses, watch: Watcher) -> Swapped:
    """Swap and verify."""
    stopwatch, at = Stopwatch(), now()
    result = Swapped(site=plan.site, plan=plan, at=at)
    try:
        told = _told(plan, local, watch)
    except ZMountError as why:
        return replace(result, seconds=stopwatch.seconds, error=why)
    result = replace(
        result,
        seconds=stopwatch.seconds,
        told=told,
        state=plan.seen.state,
        caches=remove_caches(plan.seen.caches),
    )
    return _verified(result, plan, local)


def _verified(result: Swapped, plan: SwapPlan, local: LocalProcesses) -> Swapped:
    """Return RESULT with what is seen of it; an error if that is something else than planned."""
    staging = plan.seen.staging
    try:
        instances = onlookers(staging, plan.seen.oids, local)
        instances.let_forget()  # at once: until then they may show objects of before
        result = replace(result, state=(state := stage_state(staging)))
        compared = must_show_moment(plan.site, state, local, is_undone=plan.wish.undoes)
        # and again: a request of before may have taken hold of one meanwhile
        sights = tuple(instances.sights(instances.let_forget()))
        result = replace(result, compared=compared, sights=sights)
        refuse_blindness(sights)
    except ZMountError as why:
        return replace(result, error=why)
    return result


def _told(plan: SwapPlan, local: LocalProcesses, watch: Watcher) -> dict[str, Any]:
    """Let staging be swapped by whoever can; return what he says of it.

    If changes on staging may not go, those that came since they were counted may not, either.
    """
    staging, wish = plan.seen.staging, plan.wish
    request = {"call": "undo" if wish.undoes else "swap", "mode": wish.mode}
    if not plan.drops.transactions:
        request["unchanged_since"] = plan.seen.state.last_tid.hex()

    def progress(phase: str, done: int, total: int) -> None:
        watch((plan.site.name, phase, done, total))

    if plan.seen.way == "ZEO":
        return tell_server(staging, request, progress)
    offline = Offline(
        storage=staging,
        conf=pack_conf(staging, gc=True, name=staging.zeo_name),
        process=local.openers[staging.name],
    )
    return offline.tell(request, progress)


def _tell(record: Record, result: Swapped, plan: SwapPlan) -> None:
    """Tell RECORD what became of a site's staging, and which changes on it are gone."""
    state, dropped = result.state, plan.drops
    record.plan(
        f"drops {counted(change.objects, 'object')} of {change.user or 'nobody'}, "
        f"{tid_text(change.tid)}" + (f": {change.description}" if change.description else "")
        for change in dropped.last
    )
    record.numbers(
        result=result.done,
        way=plan.seen.way,
        mode=None if state is None else state.mode,
        from_generation=plan.seen.state.generation,
        generation=None if state is None else state.generation,
        production_tid=None if state is None else state.base_tid.hex(),
        dropped_transactions=dropped.transactions,
        dropped_objects=dropped.objects,
    )
    record.failed(result.error)
