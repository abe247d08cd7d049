"""What start, stop and restart did to each process, and how they say so on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from zmount.errors import ProcessFailed, ZMountError
from zmount.topology.processes import Process

Done = Literal["started", "was running", "stopped", "killed", "was not running", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What was done to a process, after ``seconds`` of waiting for it.

    ``error`` says why it failed; None otherwise. ``detail`` is what it answered,
    ``notes`` what was done besides, ``warnings`` what the operator should see to.
    """

    process: Process
    done: Done
    seconds: float = 0.0
    pid: int | None = None
    detail: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: ZMountError | None = None

    def __str__(self) -> str:
        return f"{self.process.name} {_SAID[self.done](self)}"


Watcher: TypeAlias = "Callable[[Process | Change], None]"
"""Is told each process before it is touched, and what became of it."""

_SAID: dict[Done, Callable[[Change], str]] = {
    "started": lambda c: f"answers at {c.process.address} after {c.seconds:.1f} s",
    "was running": lambda c: f"runs already at {c.process.address}, pid {c.pid}",
    "stopped": lambda c: f"stopped after {c.seconds:.1f} s",
    "killed": lambda c: f"did not end in its stop-timeout and was killed after {c.seconds:.1f} s",
    "was not running": lambda c: "is not running",
    "failed": lambda c: "failed",
}


def refuse_failures(changes: Iterable[Change]) -> None:
    """Raise what went wrong in CHANGES, if anything did.

    :raises ZMountError: the one failure, as it was
    :raises ProcessFailed: several, each in lines of its own
    """
    errors = [change.error for change in changes if change.error is not None]
    if len(errors) == 1:
        raise errors[0]
    if errors:
        names = ", ".join(change.process.name for change in changes if change.error is not None)
        lines = [f"{error}" + (f"\n  try: {error.hint}" if error.hint else "") for error in errors]
        raise ProcessFailed(f"these failed: {names}\n" + "\n".join(lines))
