"""Prove that a session outlives restarts of the public instances and of its ZEO server.

1. observe: sessions must be kept in the session storage, as ``zmount sessions`` says.
2. plan:    restart the public instances cleanly, kill them with -9, restart the ZEO
   server; what is on another host cannot be restarted from here, and is told.
3. apply:   for each of them a browser with a cookie puts a new value into its session, and
   looks for it at every public process before and after.
4. end:     the session is ended, and what ran before is up, also after a failure.

The value lies in a session and nowhere else: no root is changed.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from zmount.effects.clock import Stopwatch, ticks
from zmount.effects.credentials import administrator_client
from zmount.effects.lock import locked
from zmount.effects.signals import end, terminable
from zmount.effects.zope_http import ZopeClient, one_browser
from zmount.errors import ProcessFailed, SessionsLost, UnknownName, ZMountError
from zmount.operations.changes import Change, refuse_failures
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.restart import restart
from zmount.operations.sessions import SessionStatus, sessions
from zmount.operations.sessions_plan import (
    Hit,
    Proof,
    ProofPlan,
    ProofWish,
    Reading,
    Trial,
    Tried,
)
from zmount.operations.start import start
from zmount.operations.status import observe_process, start_timeout_s
from zmount.topology.hosts import Host
from zmount.topology.instances import Instance, Replica
from zmount.topology.processes import Process
from zmount.topology.topology import Topology

PAGE = "zmount-session"
SETTLES_S = 5.0  # for one ZEO client to hear what another has written
RETURNS_S = 60.0  # for a Zope to answer, and to have its ZEO server back
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

    :raises SessionsLost: sessions are not kept in the session storage, or nobody agreed
    :raises ProcessFailed: no public instance runs here, or one did not come back
    :raises AccessRefused: an instance does not let the administrator in
    """
    status = sessions(topology, host)
    status.refuse_problems()
    local = LocalProcesses(topology=topology, host=host)
    plan = _plan(local, status, wish)
    watch(plan)
    if wish.is_dry_run:
        return Proof(plan=plan, is_dry_run=True)
    if not wish.is_agreed and not (ask is not None and ask(plan)):
        raise SessionsLost(
            "nothing was restarted: nobody agreed to the plan",
            hint="--dry-run shows it; a terminal asks, a script must say --yes",
        )
    browser = _Browser(local)
    tried: list[Tried] = []
    with terminable():
        try:
            for number, trial in enumerate(plan.trials):
                setter = plan.readers[number % len(plan.readers)]
                tried.append(_try(browser, trial, setter, plan.readers, watch))
                watch(tried[-1])
        finally:
            _put_in_order(browser, plan, watch)
    return Proof(plan=plan, tried=tuple(tried))


@dataclass(frozen=True, kw_only=False)
class _Browser:
    """A visitor's browser that is logged in: one set of cookies for all processes."""

    local: LocalProcesses

    @cached_property
    def cookies(self) -> Any:
        return one_browser()

    def ask(self, process: Process, do: str, **values: str) -> dict[str, Any]:
        local = self.local
        client: ZopeClient = administrator_client(
            local.topology, local.host, local.address_of(process), cookies=self.cookies
        )
        return client.ask_agent(do, page=PAGE, timeout_s=RETURNS_S, **values)


def _plan(local: LocalProcesses, status: SessionStatus, wish: ProofWish) -> ProofPlan:
    users = [user.instance for user in status.users if user.must_use_it]
    victims = tuple(_victims(local, _chosen(users, wish)))
    readers = tuple(
        process
        for process in local.everywhere.values()
        if _instance(process) in users and local.ask(process).is_answering
    )
    trials = [Trial(how="restart", processes=victims), Trial(how="kill", processes=victims)]
    left_out: list[str] = []
    server = status.session.storage.server
    process = None if server is None else local.everywhere[server.name]
    if process is None:
        left_out.append("restart of the ZEO server: none serves the session storage")
    elif not local.is_here(process):
        left_out.append(f"restart of the ZEO server {process.name}: host {process.host.name}")
    else:
        trials.append(Trial(how="restart the ZEO server", processes=(process,)))
    return ProofPlan(trials=tuple(trials), readers=readers, left_out=tuple(left_out))


def _chosen(users: Sequence[Instance], wish: ProofWish) -> list[Instance]:
    known = {instance.name: instance for instance in users}
    for name in wish.names:
        if name not in known:
            raise UnknownName(
                f"{name} is no public instance that uses the session storage",
                hint=f"one of {', '.join(known)}",
            )
    return [known[name] for name in wish.names] or list(users)


def _victims(local: LocalProcesses, chosen: Sequence[Instance]) -> Iterator[Process]:
    """Yield the processes here that are restarted and killed: those that run.

    :raises ProcessFailed: none runs, or one would not be started again
    """
    some = False
    for process in local.all:
        if _instance(process) not in chosen:
            continue
        seen = observe_process(process, local)
        if seen.state == "running":
            some = True
            yield process
        elif seen.state != "stopped":
            raise ProcessFailed(
                f"{process.name} is {seen.state}: {seen.detail}",
                hint=f"zmount restart {process.name}",
            )
    if not some:
        names = " ".join(instance.name for instance in chosen)
        raise ProcessFailed("no public instance runs on this host", hint=f"zmount start {names}")


def _instance(process: Process) -> Instance | None:
    return process.noun.instance if isinstance(process.noun, Replica) else None


def _try(
    browser: _Browser,
    trial: Trial,
    setter: Process,
    readers: Sequence[Process],
    watch: Watcher,
) -> Tried:
    value = secrets.token_hex(8)
    browser.ask(setter, "set", value=value)
    before = tuple(_read(browser, each, value) for each in readers)
    hits: tuple[Hit, ...] = ()
    after: tuple[Reading, ...] = ()
    if all(each.is_kept for each in before):
        hits = tuple(_HOW[trial.how](browser.local, trial.processes, watch))
        after = tuple(_read(browser, each, value) for each in readers)
    return Tried(trial=trial, setter=setter, value=value, before=before, hits=hits, after=after)


def _read(browser: _Browser, process: Process, value: str) -> Reading:
    """Return what PROCESS shows; one that does not answer has time to return."""
    watch = Stopwatch()
    shown: dict[str, Any] = {}
    wrong_since: float | None = None
    for seconds in ticks(RETURNS_S):
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
    for _ in ticks(start_timeout_s(process) + RETURNS_S):
        pid = local.manager.observe(process).pid
        if pid is not None and pid != killed and local.ask(process).is_answering:
            return pid
    raise ProcessFailed(
        f"{process.name} was killed as pid {killed}, and is not up again",
        hint=f"zmount status {process.name}; zmount restart {process.name}",
    )


_HOW = {"restart": _restart, "kill": _kill, "restart the ZEO server": _restart}


def _put_in_order(browser: _Browser, plan: ProofPlan, watch: Watcher) -> None:
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
