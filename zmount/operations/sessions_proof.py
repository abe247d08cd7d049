"""Prove that a session outlives restarts of the public instances and of its ZEO server.

1. observe: sessions must be kept in the session storage, as ``zmount sessions`` says.
2. plan:    restart the public instances cleanly, kill them with -9, restart the ZEO
   server; what is on another host cannot be restarted from here, and is told
   (``sessions_reach``).
3. apply:   for each of them a browser with a cookie puts a new value into its session, and
   looks for it at every public process before and after.
4. end:     the session is ended, and what ran before is up, also after a failure.

The value lies in a session and nowhere else: no root is changed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from zmount.effects.clock import Stopwatch, ticks
from zmount.effects.lock import locked
from zmount.effects.signals import end
from zmount.errors import ProcessFailed, ProofRefused, ZMountError
from zmount.operations.changes import Change, refuse_failures
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.recorded import recorded
from zmount.operations.restart import restart
from zmount.operations.sessions import sessions
from zmount.operations.sessions_browser import ANSWERS_S, Browser
from zmount.operations.sessions_plan import (
    Hit,
    Proof,
    ProofPlan,
    ProofWish,
    Reading,
    Trial,
    Tried,
    refuse_one_for_two,
)
from zmount.operations.sessions_reach import plan_proof
from zmount.operations.start import start
from zmount.operations.status import start_timeout_s
from zmount.sizes import counted
from zmount.topology.hosts import Host
from zmount.topology.processes import Process
from zmount.topology.topology import Topology

SETTLES_S = 5.0  # for one ZEO client to hear what another has written
_KILL_S = 10.0  # for a killed process to be gone

Event = ProofPlan | Tried | Process | Change
Watcher = Callable[[Event], None]
Ask = Callable[[ProofPlan], bool]


def prove(
    topology: Topology, host: Host, wish: ProofWish, watch: Watcher, ask: Ask | None
) -> Proof:
    """Return the evidence that sessions outlive what WISH wants; losses are in it.

    WATCH gets the plan, then what goes on. Without ASK, as for a script, WISH itself must
    say that the plan is agreed to.

    :raises SessionsLost: sessions are not kept in the session storage
    :raises ProofRefused: nobody agreed
    :raises ProcessFailed: there is nothing to restart here, or one did not come back
    :raises AccessRefused: an instance does not let the administrator in
    """
    status = sessions(topology, host)
    status.refuse_problems()
    browser = Browser(LocalProcesses(topology=topology, host=host))
    plan = plan_proof(browser, status, wish)
    watch(plan)
    if wish.is_dry_run:
        return Proof(plan=plan, is_dry_run=True)
    tried: list[Tried] = []
    names = [process.name for process in plan.readers]
    with recorded(topology.file, host.name, "sessions", subjects=names) as record:
        record.plan(plan.trials)
        _must_be_agreed(plan, wish, ask)
        try:
            for number, trial in enumerate(plan.trials):
                setter = plan.readers[number % len(plan.readers)]
                tried.append(_try(browser, trial, setter, plan.readers, watch))
                watch(tried[-1])
        finally:
            _put_in_order(browser, plan, watch)
        proof = Proof(plan=plan, tried=tuple(tried))
        record.numbers(result=f"kept in {proof.kept} of {counted(len(tried), 'trial')}")
        record.judged_by(proof.refuse_losses)
    return proof


def _must_be_agreed(plan: ProofPlan, wish: ProofWish, ask: Ask | None) -> None:
    if not wish.is_agreed and not (ask is not None and ask(plan)):
        raise ProofRefused(
            "nothing was restarted: nobody agreed to the plan",
            hint="--dry-run shows it; a terminal asks, a script must say --yes",
        )


def _try(
    browser: Browser,
    trial: Trial,
    setter: Process,
    readers: Sequence[Process],
    watch: Watcher,
) -> Tried:
    value = secrets.token_hex(8)
    browser.ask(setter, "set", value=value)
    before = tuple(_read(browser, each, value) for each in readers)
    refuse_one_for_two(before)
    hits: tuple[Hit, ...] = ()
    after: tuple[Reading, ...] = ()
    if all(each.is_kept for each in before):
        hits = tuple(_HOW[trial.how](browser.local, trial.processes, watch))
        after = tuple(_read(browser, each, value) for each in readers)
    return Tried(trial=trial, setter=setter, value=value, before=before, hits=hits, after=after)


def _read(browser: Browser, process: Process, value: str) -> Reading:
    """Return what PROCESS shows; one that does not answer has time to return."""
    watch = Stopwatch()
    shown: dict[str, Any] = {}
    wrong_since: float | None = None
    for seconds in ticks(ANSWERS_S):
        try:
            shown = browser.ask(process, "get")
        except ProcessFailed:  # it waits for its ZEO server, or has just been killed
            continue
        if shown["value"] == value:
            break
        wrong_since = seconds if wrong_since is None else wrong_since
        if seconds - wrong_since > SETTLES_S:
            break
    return Reading(
        process=process,
        pid=shown.get("pid"),
        run=shown.get("run", ""),
        wanted=value,
        found=shown.get("value"),
        seconds=watch.seconds,
    )


def _restart(local: LocalProcesses, chosen: Sequence[Process], watch: Watcher) -> Iterator[Hit]:
    before = {process.name: local.manager.observe(process).pid for process in chosen}
    stopwatch = Stopwatch()
    changes = restart(local.topology, local.host, before, watch)
    refuse_failures(changes)
    for process in chosen:
        yield Hit(
            process=process,
            before=before[process.name],
            after=local.manager.observe(process).pid,
            seconds=stopwatch.seconds,
        )


def _kill(local: LocalProcesses, chosen: Sequence[Process], watch: Watcher) -> Iterator[Hit]:
    stopwatch = Stopwatch()
    with locked(local.host.directory):
        before = {process.name: local.manager.observe(process).pid for process in chosen}
        for pid in before.values():
            if pid is not None:
                end(pid, "KILL", _KILL_S)
        for process in chosen:
            watch(process)
            after = _respawned(local, process, before[process.name])
            yield Hit(
                process=process,
                before=before[process.name],
                after=after,
                seconds=stopwatch.seconds,
            )


def _respawned(local: LocalProcesses, process: Process, killed: int | None) -> int:
    """Return the new pid of PROCESS, once it answers.

    :raises ProcessFailed: its manager does not start it again
    """
    for _ in ticks(start_timeout_s(process) + ANSWERS_S):
        pid = local.manager.observe(process).pid
        if pid is not None and pid != killed and local.ask(process).is_answering:
            return pid
    raise ProcessFailed(
        f"{process.name} was killed as pid {killed}, and is not up again",
        hint=f"zmount status {process.name}; zmount restart {process.name}",
    )


_HOW = {"restart": _restart, "kill": _kill, "restart the ZEO server": _restart}


def _put_in_order(browser: Browser, plan: ProofPlan, watch: Watcher) -> None:
    """End the session, once all that ran before is up."""
    local = browser.local
    names = dict.fromkeys(each.name for trial in plan.trials for each in trial.processes)
    down = [name for name in names if not local.ask(local.everywhere[name]).is_answering]
    if down:
        start(local.topology, local.host, down, watch)
    for process in plan.readers:
        with suppress(ZMountError):  # else it ends by its time-out
            browser.ask(process, "end")
            return
