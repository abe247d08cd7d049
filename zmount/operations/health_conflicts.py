"""What ZEO servers counted since the last look.

A server counts from its start on; after a month of peace, an hour of conflicts does not
show in that. So each look remembers what was counted, for the next one.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from zmount.effects.clock import now
from zmount.effects.remembered import read_remembered, remember_values
from zmount.operations.health_words import time_words
from zmount.topology.hosts import Host

FILE_NAME = "health-counters.json"
OLDEST_S = 300.0  # what was remembered longer ago is replaced by what is counted now
YOUNGEST_S = 10.0  # in less, nothing is counted that says anything


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What a server that began at ``start`` has counted of a storage."""

    start: str
    commits: int
    conflicts: int
    resolved: int


class Counters:
    """What was counted at the last look on HOST, and what is counted now."""

    FEWEST = 20  # commits and conflicts that a percentage is taken of

    def __init__(self, host: Host) -> None:
        self._host = host
        self._before = read_remembered(host, FILE_NAME)
        self._now: dict[str, Any] = {}

    def since(self, storage: str, counted: Counted) -> tuple[Counted, str]:
        """Return what was COUNTED of STORAGE since the last look, and since when in words."""
        self._now[storage] = {"at": now(), **asdict(counted)}
        before: Any = self._before.get(storage)
        try:
            seconds = now() - float(before["at"])
            found = Counted(
                start=counted.start,
                commits=counted.commits - int(before["commits"]),
                conflicts=counted.conflicts - int(before["conflicts"]),
                resolved=counted.resolved - int(before["resolved"]),
            )
            is_same = before["start"] == counted.start and found.commits >= 0
        except (TypeError, KeyError, ValueError):
            return counted, "since its start"  # nothing was remembered that makes sense
        if is_same and seconds < OLDEST_S:
            self._now[storage] = before
        if not is_same or seconds < YOUNGEST_S:
            return counted, "since its start"
        return found, f"in {time_words(seconds)}"

    def save(self) -> None:
        """Remember what was counted, for the next look; one who may not write does not."""
        remember_values(self._host, FILE_NAME, {**self._before, **self._now})
