"""What zmount asks of zdaemon, systemd and supervisor alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from zmount.topology.processes import Process

STOP_TIMEOUT_S = 30  # schema.xml's default of stop-timeout


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What its manager says of a process.

    ``is_kept``: the manager is at work on it, and starts it again when it dies.
    ``pid`` is None while it does not run. ``restarts`` is how often the manager
    had to start it again: zdaemon counts deaths in quick succession, systemd all
    of them, supervisor does not tell (None). ``detail`` is in the manager's words.
    """

    is_kept: bool
    pid: int | None = None
    restarts: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """How long a process' logs were, in bytes, at the moment ``at`` (epoch seconds)."""

    at: float
    transcript: int
    log: int


class ProcessManager(Protocol):
    """Keeps processes of this machine alive."""

    name: str

    def observe(self, process: Process) -> Kept:
        """Return how PROCESS is.

        :raises ProcessFailed: the manager does not let us ask
        """

    def start(self, process: Process) -> None:
        """Start PROCESS; it need not answer yet when this returns.

        :raises ProcessFailed: the manager could not even try
        """

    def stop(self, process: Process) -> bool:
        """End PROCESS with its own signal, and return when it is gone.

        Return False if it did not end in its stop-timeout and had to be killed.

        :raises ProcessFailed: it is still there
        """

    def output_place(self, process: Process) -> str:
        """Return where a person finds what PROCESS printed."""

    def printed(self, process: Process, before: Written) -> str:
        """Return what PROCESS printed since BEFORE."""


def stop_timeout_s(process: Process) -> int:
    """Return how many seconds PROCESS has for ending cleanly."""
    return int(process.runner.text("stop-timeout") or STOP_TIMEOUT_S)
