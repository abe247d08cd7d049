"""What preparing the roots of instances came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zmount.operations.mount_repairs import Refusal
from zmount.plan.root_steps import RootStep


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedRoot:
    """What was made in one instance's root, or would be; and what was left alone."""

    instance: str
    made: tuple[RootStep, ...] = ()
    refused: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The roots of a host's instances.

    ``password_file`` is where the administrator's password is, if a root has
    just got one that zmount made up.
    """

    roots: tuple[PreparedRoot, ...]
    is_dry_run: bool = False
    password_file: str | None = None

    @property
    def is_changed(self) -> bool:
        """True if something was made, or would be."""
        return any(root.made for root in self.roots)

    @property
    def is_complete(self) -> bool:
        """True if nothing was refused."""
        return not any(root.refused for root in self.roots)

    def __str__(self) -> str:
        would = "would " if self.is_dry_run else ""
        lines = []
        for root in self.roots:
            lines += [f"{root.instance}: {would}{step}" for step in root.made]
            lines += [f"{root.instance}: refused: {refusal}" for refusal in root.refused]
        if self.password_file is not None:
            lines.append(f"the administrator's password is in {self.password_file}")
        return "\n".join(lines) or "every root is as it should be"

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values; no secret is among them."""
        return {
            "dry_run": self.is_dry_run,
            "password_file": self.password_file,
            "instances": [
                {
                    "instance": root.instance,
                    "made": [str(step) for step in root.made],
                    "refused": [
                        {"what": refusal.what, "hint": refusal.hint} for refusal in root.refused
                    ],
                }
                for root in self.roots
            ],
        }
