"""Copying an object to another place, as steps of the instance that shows both."""

from __future__ import annotations

from dataclasses import dataclass

from zmount.plan.root_steps import RootStep


@dataclass(frozen=True, slots=True, kw_only=True)
class LookAtPush(RootStep):
    """Ask what would be copied from ``source`` to ``target``; changes nothing.

    In its own storage the target is at ``real`` below ``root``.
    """

    name = "look_at_push"
    source: str
    target: str
    root: str
    real: str

    def __str__(self) -> str:
        return f"look at {self.source}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PushObject(RootStep):
    """Copy ``source`` to ``target``, if both are what was seen there.

    ``oid`` is that of the source, ``replaces`` of what is at the target; None: nothing.
    """

    name = "push_object"
    source: str
    target: str
    root: str
    real: str
    oid: str
    replaces: str | None

    def __str__(self) -> str:
        return f"copy {self.source} to {self.target}"
