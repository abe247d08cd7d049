"""Every process once: what it answers, and whether it runs."""

from __future__ import annotations

from dataclasses import dataclass

from zmount.effects.answers import Answer, ask_http, ask_zeo
from zmount.effects.clock import Stopwatch
from zmount.effects.zope_requests import ALIVE
from zmount.errors import ProcessFailed
from zmount.operations.health_scene import Scene
from zmount.operations.status import ProcessStatus, observe_process
from zmount.topology.processes import Process
from zmount.topology.zeo import ZeoServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A process: what it ANSWERED and in how many SECONDS; its ``status`` if it is on this host.

    ``untold`` is why its manager does not tell, "" where it does.
    """

    process: Process
    answer: Answer
    seconds: float
    status: ProcessStatus | None = None
    untold: str = ""

    @property
    def pid(self) -> int | None:
        """The process' id, if it runs here."""
        return self.status.pid if self.status is not None else None

    @property
    def is_hidden(self) -> bool:
        """True if it may run, as a process of somebody else that is not for us to see."""
        owner = self.status.owner if self.status is not None else None
        return bool(self.untold) or (owner is not None and owner.pid is None)

    @property
    def is_stopped(self) -> bool:
        """True if it is of this host, and does not run."""
        return self.status is not None and self.status.state == "stopped"

    @property
    def is_idle(self) -> bool:
        """True of a process that nobody started, and nobody need."""
        return self.is_stopped and not self.process.autostart


def ask_server(scene: Scene, process: Process) -> Seen:
    """Ask the ZEO server PROCESS how it is, and see whether it runs."""
    assert isinstance(process.noun, ZeoServer)
    watch = Stopwatch()
    address, tls = scene.local.address_of(process), scene.local.client_tls(process.noun)
    answer = ask_zeo(address, tls, timeout_s=scene.timeout_s)
    return _see(scene, process, answer, watch.seconds)


def ask_replica(scene: Scene, process: Process) -> Seen:
    """Ask the instance PROCESS for its liveness page, and see whether it runs."""
    watch = Stopwatch()
    answer = ask_http(scene.local.address_of(process), ALIVE, timeout_s=scene.timeout_s)
    return _see(scene, process, answer, watch.seconds)


def _see(scene: Scene, process: Process, answer: Answer, seconds: float) -> Seen:
    seen = Seen(process=process, answer=answer, seconds=seconds)
    if not scene.local.is_here(process):
        return seen
    try:
        status = observe_process(process, scene.local, ask=lambda _: answer)
    except ProcessFailed as why:
        return Seen(process=process, answer=answer, seconds=seconds, untold=str(why))
    return Seen(process=process, answer=answer, seconds=seconds, status=status)


def what_to_do(scene: Scene, seen: Seen) -> str:
    """Return the next command about a process that does not answer, and on which host."""
    name = seen.process.name
    if not scene.local.is_here(seen.process):
        return f"zmount status {name}, on host {seen.process.host.name}"
    return f"zmount start {name}" if seen.is_stopped else f"zmount status {name}"
