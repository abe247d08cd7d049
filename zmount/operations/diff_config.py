"""Show what apply would change on a host; nothing is written.

1. render:  the files as they should be.
2. observe: what is there now.
3. compare: file by file, hiding secrets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zmount.operations.plan_host import is_interrupted, plan_host, what_is_wanted
from zmount.plan.difference import Difference, difference
from zmount.plan.plan import Plan
from zmount.plan.secrets import secrets_of
from zmount.topology.hosts import Host
from zmount.topology.topology import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigDiff:
    """What apply would do.

    ``conflicts`` are the differences that apply refuses to make without
    ``--overwrite``, in the order of the plan's conflicts that have any.
    """

    plan: Plan
    differences: tuple[Difference, ...]
    conflicts: tuple[Difference, ...]
    is_interrupted: bool

    @property
    def is_empty(self) -> bool:
        """True if apply would change nothing, and finds nothing against it."""
        return not (self.plan.changes_anything or self.plan.conflicts or self.is_interrupted)

    def as_json(self) -> dict[str, Any]:
        """Return this for ``--json``; no secret is in it."""
        return {
            **self.plan.as_json(),
            "differences": [
                {"path": str(found.path), "is_new": found.is_new, "lines": list(found.lines)}
                for found in (*self.differences, *self.conflicts)
            ],
            "is_interrupted": self.is_interrupted,
        }


def diff_config(topology: Topology, host: Host) -> ConfigDiff:
    """Return how HOST differs from what TOPOLOGY says.

    :raises RenderError: a file cannot hold what the topology says
    :raises ApplyFailed: zmount's own directory cannot be read
    """
    plan = plan_host(what_is_wanted(topology, host))
    secrets = secrets_of(topology)
    refused = (conflict.step for conflict in plan.conflicts if conflict.step is not None)
    return ConfigDiff(
        plan=plan,
        differences=tuple(difference(step, secrets) for step in plan.file_steps),
        conflicts=tuple(difference(step, secrets) for step in refused),
        is_interrupted=is_interrupted(host),
    )
