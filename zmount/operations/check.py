"""Say everything that is wrong or doubtful in a topology file.

1. read:  the whole file, every mistake of writing (``topology.load``).
2. check: how the parts fit together (``topology.check``).

Both in one run: an administrator wants to see all of it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from zmount.topology.check import check, in_order
from zmount.topology.findings import Finding, Severity, without_consequences
from zmount.topology.load import read


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What there is to say about FILE, an absolute path."""

    file: str
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        """Return how many findings are of SEVERITY."""
        return sum(finding.severity == severity for finding in self.findings)

    @property
    def exit_status(self) -> int:
        """0: nothing to say; 1: warnings only; 2: errors."""
        return 2 if self.count("error") else 1 if self.findings else 0

    def as_json(self) -> dict[str, object]:
        """Return the verdict for machines; ``rule`` and the keys are stable."""
        return {
            "file": self.file,
            "errors": self.count("error"),
            "warnings": self.count("warning"),
            "findings": [
                {
                    "severity": finding.severity,
                    "rule": finding.rule,
                    "file": finding.place.file,
                    "line": finding.place.line,
                    "what": finding.what,
                    "why": finding.why,
                    "hint": finding.hint,
                }
                for finding in self.findings
            ],
        }


def check_file(path: str | os.PathLike[str]) -> Verdict:
    """Return everything there is to say about the topology in the file PATH.

    What follows from a line that could not be understood is not said again.

    :raises TopologyNotFound: there is no such file
    """
    topology, mistakes = read(path)
    if topology is None:
        return Verdict(file=str(Path(path).absolute()), findings=mistakes)
    lines = {finding.place for finding in mistakes}
    found = [finding for finding in check(topology) if finding.place not in lines]
    findings = without_consequences(dict.fromkeys((*mistakes, *found)))
    return Verdict(file=topology.file, findings=in_order(findings, topology.file))
