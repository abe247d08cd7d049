"""How is measured: how often, where, and how calm the machine must be meanwhile."""

from __future__ import annotations

import fcntl
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import click

T = TypeVar("T")

TRIES = 4  # of a run that others disturb
LOOK_S = 3.0  # so long it must be calm before a run
PATIENCE_S = 180.0  # for one run


@dataclass(slots=True, kw_only=True)
class Course:
    """How is measured. ``calm`` is how many processors others may take; None: any number.

    ``others`` is what they took in the runs that count.
    """

    rounds: int
    directory: Path
    calm: float | None
    others: list[float] = field(default_factory=list)

    def run(self, what: Callable[[], T]) -> T:
        """Return what a run of WHAT returns, the calmest one if none is calm enough."""
        tries: list[tuple[float, T]] = []
        for _ in range(TRIES if self.calm is not None else 1):
            with self._alone():
                self._wait()
                watch = Others()
                result = what()
                tries.append((watch.processors(), result))
            if self._is_calm(tries[-1][0]):
                break
            say(f"once more: others took {tries[-1][0]:.2f} processors")
        others, result = min(tries, key=lambda each: each[0])
        self.others.append(others)
        return result

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Wait until nobody else measures in this directory, and keep others waiting."""
        with (self.directory / "measuring").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _is_calm(self, processors: float) -> bool:
        return self.calm is None or processors <= self.calm

    def _wait(self) -> None:
        """Wait until the machine is calm; no longer than PATIENCE_S."""
        until = time.monotonic() + (0.0 if self.calm is None else PATIENCE_S)
        while time.monotonic() < until:
            watch = Others()
            time.sleep(LOOK_S)
            if self._is_calm(watch.processors()):
                break


class Others:
    """Watches, from its making on, what the processes do that are not ours.

    Only those of ours count as ours that ended and were waited for.
    """

    def __init__(self) -> None:
        self._start = self._now()

    def processors(self) -> float:
        """Return how many processors others used since, on average."""
        clock, busy, own = (now - then for now, then in zip(self._now(), self._start, strict=True))
        return max(0.0, (busy - own) / clock) if clock else 0.0

    @staticmethod
    def _now() -> tuple[float, float, float]:
        names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
        with Path("/proc/stat").open() as file:
            ticks = dict(zip(names, map(int, file.readline().split()[1:]), strict=False))
        busy = sum(ticks.values()) - ticks["idle"] - ticks["iowait"]
        own = 0.0
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN):
            used = resource.getrusage(who)
            own += used.ru_utime + used.ru_stime
        return time.monotonic(), busy / os.sysconf("SC_CLK_TCK"), own


def say(text: str) -> None:
    """Tell the person who waits."""
    click.echo(text, err=True)
