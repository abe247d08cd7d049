"""Time, for whoever must not have a clock of his own."""

from __future__ import annotations

import time
from collections.abc import Iterator


class Stopwatch:
    """Runs from the moment that it is made."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it runs."""
        return time.monotonic() - self._began


def now() -> float:
    """Return the time in seconds since the epoch."""
    return time.time()


def booted_at() -> float:
    """Return when this machine started, in seconds since the epoch."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def ticks(timeout_s: float) -> Iterator[float]:
    """Yield the seconds that went by, soon and often at first, until TIMEOUT_S is over."""
    watch = Stopwatch()
    pause_s = 0.02
    while (seconds := watch.seconds) < timeout_s:
        yield seconds
        time.sleep(pause_s)
        pause_s = min(0.25, pause_s * 1.3)


def pause(seconds: float) -> None:
    """Return after SECONDS."""
    time.sleep(seconds)
