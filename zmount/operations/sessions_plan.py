"""What ``zmount sessions --prove`` is going to do, and the evidence that came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from zmount.errors import ProcessFailed, SessionsLost
from zmount.topology.processes import Process

How = Literal["restart", "kill", "restart the ZEO server"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofWish:
    """Prove it of the public instances NAMES, or of all; ``is_agreed``: without being asked."""

    names: tuple[str, ...] = ()
    is_agreed: bool = False
    is_dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Something that sessions must outlive: what is done, and to whom."""

    how: How
    processes: tuple[Process, ...]

    def __str__(self) -> str:
        names = ", ".join(process.name for process in self.processes)
        said = {
            "restart": f"restart {names}",
            "kill": f"kill -9 {names}, and wait until they are up again",
            "restart the ZEO server": f"restart the ZEO server {names}",
        }
        return said[self.how]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofPlan:
    """What is going to be done. ``readers`` are asked for the value before and after.

    ``left_out`` is what cannot be done from this host, and why: it is not proved.
    """

    trials: tuple[Trial, ...]
    readers: tuple[Process, ...]
    left_out: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the plan as plain values."""
        return {
            "trials": [str(trial) for trial in self.trials],
            "asked": [process.name for process in self.readers],
            "left_out": list(self.left_out),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a process said when it was asked for the value.

    ``found`` is what it showed, None for nothing; ``pid`` is its process id on its host,
    ``run`` a word that no other process has, "" from an older agent. ``seconds`` is how
    long it took until the value was there, or until that was given up.
    """

    process: Process
    pid: int | None
    run: str
    wanted: str
    found: str | None
    seconds: float

    @property
    def is_kept(self) -> bool:
        """True if the value is what was put in."""
        return self.found == self.wanted

    def as_json(self) -> dict[str, Any]:
        """Return the reading as plain values."""
        return {
            "process": self.process.name,
            "host": self.process.host.name,
            "pid": self.pid,
            "value": self.found,
            "is_kept": self.is_kept,
            "seconds": round(self.seconds, 3),
        }


def refuse_one_for_two(readings: tuple[Reading, ...]) -> None:
    """Refuse READINGS where one process answered in the place of two: they prove nothing.

    :raises ProcessFailed: with the two
    """
    seen: dict[str, Reading] = {}
    for each in readings:
        other = seen.setdefault(each.run, each) if each.run else each
        if other is not each:
            raise ProcessFailed(
                f"{other.process.name} and {each.process.name} are one process, pid {each.pid}: "
                f"what answers at {each.process.address} is not {each.process.name}",
                hint="a proxy, or the same address on two hosts? zmount check; zmount status",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A process that was restarted or killed: its pids, and how long it was away."""

    process: Process
    before: int | None
    after: int | None
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values."""
        return {
            "process": self.process.name,
            "pid_before": self.before,
            "pid_after": self.after,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One trial: ``value`` was put in at ``setter``; what was read before and after."""

    trial: Trial
    setter: Process
    value: str
    before: tuple[Reading, ...]
    hits: tuple[Hit, ...]
    after: tuple[Reading, ...]

    @property
    def is_kept(self) -> bool:
        """True if every process showed the value, before and after."""
        return bool(self.after) and all(each.is_kept for each in (*self.before, *self.after))

    def as_json(self) -> dict[str, Any]:
        """Return the trial as plain values."""
        return {
            "trial": str(self.trial),
            "value": self.value,
            "put_in_at": self.setter.name,
            "before": [each.as_json() for each in self.before],
            "hits": [each.as_json() for each in self.hits],
            "after": [each.as_json() for each in self.after],
            "is_kept": self.is_kept,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A plan, and the evidence; none of a dry run."""

    plan: ProofPlan
    tried: tuple[Tried, ...] = ()
    is_dry_run: bool = False

    @property
    def kept(self) -> int:
        """How many trials the session outlived."""
        return sum(each.is_kept for each in self.tried)

    def as_json(self) -> dict[str, Any]:
        """Return the proof as plain values."""
        return {
            "plan": self.plan.as_json(),
            "is_dry_run": self.is_dry_run,
            "is_proved": bool(self.tried) and all(each.is_kept for each in self.tried),
            "tried": [each.as_json() for each in self.tried],
        }

    def refuse_losses(self) -> None:
        """Raise what was lost, if anything was.

        :raises SessionsLost: with the trials and the processes that lack the value
        """
        lost = [
            f"{each.trial}: {reading.process.name} shows "
            f"{'nothing' if reading.found is None else 'another value'}"
            + ("" if reading in each.after else " even before")
            for each in self.tried
            for reading in (*each.before, *each.after)
            if not reading.is_kept
        ]
        if lost:
            raise SessionsLost(
                "the session was lost: " + "; ".join(lost),
                hint="zmount sessions, and the event logs of those instances",
            )
