"""What was wished of a site's mount points, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from zmount.effects.raw_offline import StandIn
from zmount.effects.raw_roots import State
from zmount.errors import OfflineFailed, ZMountError
from zmount.operations.status import ProcessStatus
from zmount.plan.offline import Offline
from zmount.topology.instances import Instance, Replica
from zmount.topology.mounts import Mount, MountPoint

Side = Literal["staging", "production"]
Way = Literal["up", "down", "restart"]
"""The instance answers and does it itself; it is down; it is up and must be stopped first."""

Result = Literal["off-line", "was off-line", "on-line", "was on-line", "planned", "failed"]


_SAID: dict[Result, str] = {
    "off-line": "is off-line",
    "was off-line": "was off-line",
    "on-line": "is on-line",
    "was on-line": "was not off-line",
    "planned": "is",
    "failed": "failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OfflineWish:
    """Which mount points of the site ``site`` are meant, and how it may be done.

    Without ``instances`` all that mount it, without ``side`` both sides. ``restarts``
    where an instance does not answer, or goes on working on the site. ``unmounts`` also
    the site's database, so that an instance starts without it.
    """

    site: str
    reason: str = ""
    instances: tuple[str, ...] = ()
    side: Side | None = None
    restarts: bool = False
    unmounts: bool = False
    is_dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One mount point of the site, as it is in its root, and what is remembered of it.

    ``holder`` is the mount whose storage the mount point lies in. ``stand_in`` is what
    the folder says that stands in for one that is off-line.
    """

    mount: Mount
    point: MountPoint
    state: State
    detail: str
    holder: str
    stand_in: StandIn | None = None
    remembered: Offline | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """An instance that mounts the site: how it is, and how its root can be changed.

    ``unseen`` is why its root could not be read.
    """

    instance: Instance
    replica: Replica
    processes: tuple[ProcessStatus, ...]
    targets: tuple[Target, ...]
    unseen: ZMountError | None = None

    @property
    def way(self) -> Way:
        """How its root can be changed now."""
        if any(each.answer is not None and each.answer.is_answering for each in self.processes):
            return "up"
        if any(each.is_up or each.state == "restarting" for each in self.processes):
            return "restart"
        return "down"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offlined:
    """What came of one mount point; ``error`` is why nothing did."""

    instance: str
    path: str
    storage: str
    result: Result
    way: Way | None = None
    detail: str = ""
    notes: tuple[str, ...] = ()
    error: ZMountError | None = None

    def __str__(self) -> str:
        text = f"{self.instance}: {self.path} ({self.storage}) {_SAID[self.result]}"
        return text + (f" {self.detail}" if self.detail else "")

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values."""
        return {
            "instance": self.instance,
            "path": self.path,
            "storage": self.storage,
            "result": self.result,
            "way": self.way,
            "detail": self.detail,
            "notes": list(self.notes),
            "error": None if self.error is None else str(self.error),
        }


def came_of(
    look: Look,
    target: Target,
    result: Result,
    *,
    detail: str = "",
    notes: tuple[str, ...] = (),
    error: ZMountError | None = None,
) -> Offlined:
    """Return that RESULT came of TARGET."""
    return Offlined(
        instance=look.instance.name,
        path=target.point.virtual,
        storage=target.mount.storage.name,
        result=result,
        way=look.way,
        detail=detail,
        notes=notes,
        error=error,
    )


def refuse_failures(results: Iterable[Offlined]) -> None:
    """Raise what went wrong, if anything did.

    :raises ZMountError: the one failure as it was, or several in lines of their own: of
        their kind if it is one, else an OfflineFailed
    """
    results = tuple(results)
    errors = {id(each.error): each.error for each in results if each.error is not None}
    if len(errors) == 1:
        raise next(iter(errors.values()))
    if errors:
        lines = [
            f"{error}" + (f"\n  try: {error.hint}" if error.hint else "")
            for error in errors.values()
        ]
        names = ", ".join(
            dict.fromkeys(each.instance for each in results if each.error is not None)
        )
        kinds = {type(error) for error in errors.values()}
        kind = kinds.pop() if len(kinds) == 1 else OfflineFailed
        raise kind("\n".join((f"these failed: {names}", *lines)))
