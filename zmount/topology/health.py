"""From where on ``zmount health`` warns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Unit = Literal["seconds", "bytes", "percent", "count"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From where on a number is a warning, and critical; None: it never is."""

    warning: float | None = None
    critical: float | None = None


NEVER = Limits()

# by key of <health>: what it counts
UNITS: Mapping[str, Unit] = {
    "round-trip": "seconds",
    "answer-time": "seconds",
    "last-transaction": "seconds",
    "commit-lock": "seconds",
    "waiting": "count",
    "clients": "count",
    "conflicts": "percent",
    "index": "bytes",
    "free-space": "bytes",
    "last-pack": "seconds",
    "last-verify": "seconds",
    "last-swap": "seconds",
    "queue": "count",
    "request-time": "seconds",
    "memory": "bytes",
    "clock": "seconds",
}
BELOW = frozenset(("free-space",))  # too little of it is wrong, of all others too much

_MB = 1024 * 1024
_DAY_S = 86400
DEFAULTS: Mapping[str, Limits] = {
    "round-trip": Limits(warning=0.2, critical=1),
    "answer-time": Limits(warning=1, critical=2),
    "commit-lock": Limits(warning=10, critical=60),
    "waiting": Limits(warning=4, critical=10),  # as ZEO's own log warns
    "conflicts": Limits(warning=10, critical=50),
    "index": Limits(warning=200 * _MB, critical=2048 * _MB),
    "free-space": Limits(warning=1024 * _MB, critical=100 * _MB),
    "last-pack": Limits(warning=35 * _DAY_S),
    "queue": Limits(warning=1, critical=20),
    "request-time": Limits(warning=30, critical=300),
    "clock": Limits(warning=2, critical=30),
}
TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthLimits:
    """What ``<health>`` says; ``timeout_s`` is how long a server may be silent."""

    said: tuple[tuple[str, Limits], ...] = ()
    timeout_s: float = TIMEOUT_S

    def of(self, key: str) -> Limits:
        """Return the limits of KEY, one of :data:`UNITS`."""
        return dict(self.said).get(key, DEFAULTS.get(key, NEVER))


AS_USUAL = HealthLimits()


def parse_limits(text: str, unit: Unit) -> Limits:
    """Return what TEXT says: ``none``, or a warning and a critical limit, each maybe none.

    :raises ValueError: it says something else; the reason can stand in a message
    """
    words = text.split()
    if words == ["none"]:
        return NEVER
    if len(words) != 2:
        raise ValueError("two limits are expected, of warning and critical, or none")
    warning, critical = (None if word == "none" else parse_number(word, unit) for word in words)
    return Limits(warning=warning, critical=critical)


_EXAMPLES: Mapping[Unit, str] = {
    "seconds": "a time, as 200ms, 5s, 10m, 2h, 7d or 5w,",
    "bytes": "a size, as 512KB, 20MB or 1GB,",
    "percent": "a percentage, as 10%,",
    "count": "a number",
}


_NUMBER = re.compile(r"(\d+(?:\.\d+)?)([A-Za-z%]*)", re.ASCII)
_FACTORS: Mapping[Unit, Mapping[str, float]] = {
    "seconds": {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": _DAY_S, "w": 7 * _DAY_S},
    "bytes": {"kb": 1024, "mb": _MB, "gb": 1024 * _MB, "tb": _MB * _MB, "": 1},
    "percent": {"%": 1},
    "count": {"": 1},
}


def parse_number(word: str, unit: Unit) -> float:
    """Return the number that WORD says, in seconds, bytes, percent or simply so many.

    :raises ValueError: it says none, or one below 0
    """
    found = _NUMBER.fullmatch(word)
    factor = _FACTORS[unit].get(found[2].lower()) if found is not None else None
    if found is None or factor is None:
        raise ValueError(f"{_EXAMPLES[unit]} is expected, not {word!r}")
    return float(found[1]) * factor
