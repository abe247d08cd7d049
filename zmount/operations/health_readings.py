"""What ``zmount health`` found: a reading for each check of each thing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from zmount.topology.health import BELOW, Limits, Unit

State = Literal["ok", "warning", "critical", "unknown"]

# Nagios' exit statuses
EXIT_STATUS: dict[State, int] = {"ok": 0, "warning": 1, "critical": 2, "unknown": 3}
_CAUSES_FIRST = ("volume", "server", "storage", "instance", "host")
_WORST_FIRST: tuple[State, ...] = ("critical", "warning", "unknown", "ok")


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number that was measured; ``name`` tells its unit, as Prometheus wants it.

    ``limits`` are those that it was judged by, if any; some numbers are wrong below them.
    """

    name: str
    value: float
    unit: Unit
    limits: Limits = Limits()
    is_wrong_below: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the thing SUBJECT is, by CHECK; ``sentence`` says it, ``hint`` what to do now.

    ``kind`` says what the subject is: a server, a storage, an instance, a host. ``number`` that
    were measured may be none. ``keeps_up`` is a process that must not be ended now.
    """

    check: str
    kind: str
    subject: str
    state: State
    sentence: str
    hint: str = ""
    numbers: tuple[Number, ...] = ()
    keeps_up: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it as ``zmount health --json`` shows it."""
        return {
            "check": self.check,
            "kind": self.kind,
            "subject": self.subject,
            "state": self.state,
            "sentence": self.sentence,
            "hint": self.hint or None,
            "numbers": {
                each.name: {
                    "value": each.value,
                    "unit": each.unit,
                    "warning": each.limits.warning,
                    "critical": each.limits.critical,
                }
                for each in self.numbers
            },
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How a host's part of a deployment is, at the time ``at`` (seconds since the epoch).

    ``seconds`` is how long the look took.
    """

    host: str
    at: float
    seconds: float
    readings: tuple[Reading, ...]

    @property
    def state(self) -> State:
        """The worst state of all."""
        return worst(each.state for each in self.readings)

    @property
    def exit_status(self) -> int:
        """0 ok, 1 warning, 2 critical, 3 unknown, as Nagios' plugins say it."""
        return EXIT_STATUS[self.state]

    def as_json(self) -> dict[str, Any]:
        """Return it as ``zmount health --json`` shows it."""
        return {
            "host": self.host,
            "at": self.at,
            "seconds": round(self.seconds, 3),
            "state": self.state,
            "exit_status": self.exit_status,
            "readings": [each.as_json() for each in self.readings],
        }


def worst(states: Iterable[State]) -> State:
    """Return the worst of STATES, "ok" for none; what is not known is better than a warning."""
    found = set(states)
    return next((state for state in _WORST_FIRST if state in found), "ok")


def without_restarts(readings: tuple[Reading, ...]) -> tuple[Reading, ...]:
    """Return READINGS, none of which advises to end a process that another wants to be kept up."""
    for kept in readings:
        if kept.keeps_up:
            ends = re.compile(rf"zmount (restart|stop) {re.escape(kept.keeps_up)}(?![\w.-])")
            instead = f"do NOT restart {kept.keeps_up}: see {kept.check} of {kept.subject}"
            readings = tuple(
                replace(each, hint=instead) if ends.search(each.hint) else each for each in readings
            )
    return readings


def sort_key(reading: Reading) -> tuple[int, bool, int, str, str, str]:
    """Return what sorts READING: the worst first, and of those what is the others' cause."""
    kind = _CAUSES_FIRST.index(reading.kind) if reading.kind in _CAUSES_FIRST else 99
    rank = _WORST_FIRST.index(reading.state), not reading.keeps_up, kind
    return *rank, reading.kind, reading.subject, reading.check


def judged(value: float, limits: Limits, *, key: str = "") -> State:
    """Return what VALUE is by LIMITS; for a KEY that is wrong when small, below them."""
    sign = -1 if key in BELOW else 1
    if limits.critical is not None and sign * value >= sign * limits.critical:
        return "critical"
    if limits.warning is not None and sign * value >= sign * limits.warning:
        return "warning"
    return "ok"
