"""Judging a topology: how its parts fit together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from zmount.topology.checks import (
    addresses,
    clients,
    deployment,
    files,
    instances,
    mount_points,
    mount_tables,
    names,
    packing,
    schedules,
    storages,
)
from zmount.topology.findings import Finding
from zmount.topology.topology import Topology

Rule = Callable[[Topology], Iterator[Finding]]

RULES: tuple[Rule, ...] = (
    *deployment.RULES,
    *names.RULES,
    *files.RULES,
    *addresses.RULES,
    *storages.RULES,
    *packing.RULES,
    *mount_points.RULES,
    *mount_tables.RULES,
    *clients.RULES,
    *instances.RULES,
    *schedules.RULES,
)


def check(topology: Topology) -> tuple[Finding, ...]:
    """Return what is wrong or doubtful in TOPOLOGY, in the order of its file.

    What holds for a hundred mounts because of one line is said once. Reads
    nothing but TOPOLOGY; the time is in proportion to its size.
    """
    return in_order(
        dict.fromkeys(finding for rule in RULES for finding in rule(topology)), topology.file
    )


def in_order(findings: Iterable[Finding], file: str) -> tuple[Finding, ...]:
    """Return FINDINGS by file and line, those of FILE first."""
    return tuple(
        sorted(
            findings,
            key=lambda one: (one.place.file != file, one.place.file, one.place.line),
        )
    )
