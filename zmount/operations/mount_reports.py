"""What ``zmount mounts`` tells: of each mount, of each instance, of a host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from zmount.effects.raw_offline import StandIn
from zmount.operations.mount_problems import Problem

Severity = Literal[0, 1, 2]


@dataclass(frozen=True, slots=True, kw_only=True)
class MountReport:
    """A mount of an instance, or something found in its root; ``problems``: none is ok.

    ``storage`` is "" for a reference that was found. ``offline`` is what stands in for a
    site that was taken off-line; None: it was not. One that ``is_unmounted`` is left out of
    zope.conf as well, and nothing is known of its storage.
    """

    path: str
    storage: str
    problems: tuple[Problem, ...] = ()
    offline: StandIn | None = None
    makes_missing: bool = False
    is_configured: bool = True
    is_unmounted: bool = False

    @property
    def state(self) -> str:
        """The state in a word."""
        if self.offline:
            return "off-line"
        return self.problems[0].state if self.problems else "ok"

    @property
    def severity(self) -> Severity:
        """0: right, or off-line, as somebody wants it; 1: to be repaired; 2: not by zmount."""
        if not self.problems:
            return 0
        return 1 if all(problem.is_repairable for problem in self.problems) else 2

    def as_json(self) -> dict[str, Any]:
        """Return it as ``zmount mounts --json`` shows it."""
        return {
            "path": self.path,
            "storage": self.storage or None,
            "state": self.state,
            "is_configured": self.is_configured,
            "makes_missing": self.makes_missing,
            "is_unmounted": self.is_unmounted,
            "offline": asdict(self.offline) if self.offline is not None else None,
            "problems": [problem.as_json() for problem in self.problems],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceMounts:
    """The mounts of one instance, its root first; ``root`` is the root's storage."""

    instance: str
    root: str
    mounts: tuple[MountReport, ...]

    @property
    def severity(self) -> Severity:
        """The worst of its mounts."""
        return max((mount.severity for mount in self.mounts), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounts:
    """What ``zmount mounts`` found on a host.

    ``shared_roots`` are storages that are the root of several instances, with those.
    """

    host: str
    instances: tuple[InstanceMounts, ...]
    shared_roots: Mapping[str, tuple[str, ...]]

    @property
    def severity(self) -> Severity:
        """The worst of all; the exit status."""
        return max((each.severity for each in self.instances), default=0)

    def as_json(self) -> dict[str, Any]:
        """Return it as ``zmount mounts --json`` shows it."""
        return {
            "host": self.host,
            "exit_status": self.severity,
            "instances": [
                {
                    "name": each.instance,
                    "root": each.root,
                    "mounts": [mount.as_json() for mount in each.mounts],
                }
                for each in self.instances
            ],
            "shared_roots": {name: list(each) for name, each in self.shared_roots.items()},
        }
