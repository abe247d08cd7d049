"""What is wrong, or doubtful, with a topology."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from zmount.topology.places import Place

Severity = Literal["error", "warning"]

UNREAD = "include"  # the rule of a file that could not be included
# rules that find something missing; it may be in such a file
_ABSENCES = frozenset(
    "undefined unknown-host unknown-server unknown-site unknown-storage unknown-mount "
    "without-nothing which-server missing-key no-mount-point nothing-described host-unused "
    "server-without-storages site-unmounted storage-unmounted staging-unmounted "
    "session-unmounted tls-one-side tls-authenticate".split()
)


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


def without_consequences(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return FINDINGS without those that follow from a file that could not be included."""
    findings = tuple(findings)
    if all(finding.rule != UNREAD for finding in findings):
        return findings
    return tuple(finding for finding in findings if finding.rule not in _ABSENCES)
