"""What is wrong, or doubtful, with a topology."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from zmount.topology.places import Place

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fact that an operator must know, with its reason and its remedy.

    ``rule`` is a short stable name for machines (``mount-point-twice``);
    ``what`` names the thing and the fact, ``why`` says what would happen,
    ``hint`` what to write instead. ``why`` and ``hint`` may be empty.
    """

    severity: Severity
    rule: str
    place: Place
    what: str
    why: str = ""
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.place}: {self.severity}: {self.what}"
        if self.why:
            text += f": {self.why}"
        if self.hint:
            text += f" ({self.hint})"
        return text


def error(rule: str, place: Place, what: str, *, why: str = "", hint: str = "") -> Finding:
    """Return a finding that must be put right before anything is generated."""
    return Finding(severity="error", rule=rule, place=place, what=what, why=why, hint=hint)


def warning(rule: str, place: Place, what: str, *, why: str = "", hint: str = "") -> Finding:
    """Return a finding that works today but will hurt one day."""
    return Finding(severity="warning", rule=rule, place=place, what=what, why=why, hint=hint)
