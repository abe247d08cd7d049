"""What of a proof of sessions can be done from one host: whom to restart, and whom to ask.

A host restarts its own processes and nobody else's. Those of other hosts are asked over
HTTP, if they listen where this host can reach them and let its administrator in. What is
left out is told, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from zmount.errors import AccessRefused, ProcessFailed, UnknownName
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.sessions import SessionStatus
from zmount.operations.sessions_browser import Browser
from zmount.operations.sessions_plan import ProofPlan, ProofWish, Trial
from zmount.operations.status import observe_process
from zmount.topology.instances import Instance, Replica
from zmount.topology.processes import Process

_PROBE_S = 10.0  # for a process of another host to show its session


def plan_proof(browser: Browser, status: SessionStatus, wish: ProofWish) -> ProofPlan:
    """Return what can be proved from this host of what WISH wants.

    :raises UnknownName: it names what is no public instance with these sessions
    :raises ProcessFailed: there is nothing here to restart, or nobody to ask
    """
    seen = _Reach(browser=browser, status=status)
    chosen = _chosen(seen.users, wish)
    victims = tuple(seen.victims(chosen))
    if wish.names and not victims:
        raise seen.none_runs(chosen)
    server = seen.server()
    trials: list[Trial] = []
    if victims:
        trials.append(Trial(how="restart", processes=victims))
        trials.append(Trial(how="kill", processes=victims))
    if server is not None:
        trials.append(Trial(how="restart the ZEO server", processes=(server,)))
    if not trials:
        raise seen.none_runs(chosen)
    readers = tuple(seen.readers())
    if not readers:
        raise ProcessFailed(
            "; ".join(("no public instance can be asked", *seen.left_out)),
            hint=f"zmount start {' '.join(each.name for each in seen.users)}",
        )
    return ProofPlan(trials=tuple(trials), readers=readers, left_out=tuple(seen.left_out))


def _chosen(users: Sequence[Instance], wish: ProofWish) -> list[Instance]:
    known = {instance.name: instance for instance in users}
    for name in wish.names:
        if name not in known:
            raise UnknownName(
                f"{name} is no public instance that uses the session storage",
                hint=f"one of {', '.join(known)}",
            )
    return [known[name] for name in wish.names] or list(users)


@dataclass(frozen=True, kw_only=True)
class _Reach:
    """Finds whom this host reaches; ``left_out`` grows with those that it does not."""

    browser: Browser
    status: SessionStatus
    left_out: list[str] = field(default_factory=list)

    @property
    def local(self) -> LocalProcesses:
        return self.browser.local

    @property
    def users(self) -> list[Instance]:
        """The public instances that use the sessions, as far as this host can know.

        One of another host may have a root that only that host reads: what it shows tells.
        """
        here = self.local.host
        return [
            user.instance
            for user in self.status.users
            if user.must_use_it
            or (user.instance.kind == "public" and here not in user.instance.hosts)
        ]

    def none_runs(self, chosen: Sequence[Instance]) -> ProcessFailed:
        """Return the error that nobody of CHOSEN can be restarted here."""
        here, names = self.local.host, " ".join(instance.name for instance in chosen)
        there = dict.fromkeys(host.name for each in chosen for host in each.hosts if host != here)
        start = [f"zmount start {names}"] if any(here in each.hosts for each in chosen) else []
        same = [f"the same command on host {name}" for name in there]
        return ProcessFailed(
            f"no public instance runs on this host, of {names}", hint=", or ".join([*start, *same])
        )

    def victims(self, chosen: Sequence[Instance]) -> Iterator[Process]:
        """Yield the processes here that are restarted and killed: those that run.

        :raises ProcessFailed: one would not be started again
        """
        elsewhere: dict[str, list[str]] = {}
        for process in self._processes(chosen):
            if not self.local.is_here(process):
                elsewhere.setdefault(process.host.name, []).append(process.name)
                continue
            seen = observe_process(process, self.local)
            if seen.state == "running":
                yield process
            elif seen.state == "stopped":
                self.left_out.append(f"{process.name}: it is stopped")
            else:
                raise ProcessFailed(
                    f"{process.name} is {seen.state}: {seen.detail}",
                    hint=f"zmount restart {process.name}",
                )
        for host, names in elsewhere.items():
            self._leave(f"restart and kill of {', '.join(names)}", host)

    def server(self) -> Process | None:
        """Return the session storage's ZEO server; None if this host cannot restart it."""
        server = self.status.session.storage.server
        if server is None:
            self.left_out.append("restart of the ZEO server: none serves the session storage")
            return None
        process = self.local.everywhere[server.name]
        if self.local.is_here(process):
            return process
        self._leave(f"restart of the ZEO server {process.name}", process.host.name)
        return None

    def readers(self) -> Iterator[Process]:
        """Yield the processes, of all hosts, that can be asked for what a session holds."""
        for process in self._processes(self.users):
            if self.local.is_here(process):
                if self.local.ask(process).is_answering:
                    yield process
                continue
            why = self._why_not_asked(process)
            if why:
                self.left_out.append(
                    f"what {process.name} on host {process.host.name} shows: {why}"
                )
            else:
                yield process

    def _why_not_asked(self, process: Process) -> str:
        """Return why PROCESS of another host cannot be asked; "" if it can."""
        local, address = self.local, self.local.address_of(process)
        if address.is_loopback and process.host.address != local.host.address:
            # here, somebody else may listen at the same address
            return f"{address} is known on that host only"
        try:
            self.browser.ask(process, "get", timeout_s=_PROBE_S)
        except AccessRefused:
            return "it does not let the administrator of this host in"
        except ProcessFailed as failed:
            return str(failed)
        return ""

    def _processes(self, instances: Sequence[Instance]) -> Iterator[Process]:
        for process in self.local.everywhere.values():
            if isinstance(process.noun, Replica) and process.noun.instance in instances:
                yield process

    def _leave(self, what: str, host: str) -> None:
        self.left_out.append(f"{what}: that is host {host}'s; zmount sessions --prove there")
