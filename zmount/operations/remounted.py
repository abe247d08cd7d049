"""What repairing the mount points of instances came to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from zmount.effects.raw_reach import Lying
from zmount.errors import RemountFailed, ZMountError
from zmount.operations.mount_repairs import Refusal
from zmount.plan.remount_steps import ReplaceByMountPoint
from zmount.plan.root_steps import RootStep


@dataclass(frozen=True, slots=True, kw_only=True)
class Remounted:
    """What was repaired in one instance's root, or would be.

    ``steps`` were done (planned, in a dry run); ``asides`` tells by path how much each
    step moves aside, ``slots`` where in the attic that is now. ``refused`` could not be
    repaired, ``offline`` is meant to be as it is. ``seen_by`` are the processes that
    showed what they should afterwards; ``root`` is the root's storage.
    """

    instance: str
    root: str = ""
    steps: tuple[RootStep, ...] = ()
    asides: Mapping[str, Lying | None] = field(default_factory=dict)
    slots: Mapping[str, str] = field(default_factory=dict)
    refused: tuple[Refusal, ...] = ()
    offline: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()
    seen_by: tuple[str, ...] = ()
    error: ZMountError | None = None

    @property
    def lines(self) -> Iterator[str]:
        """What to tell of it, a line each."""
        from rich.filesize import decimal

        for step in self.steps:
            yield f"{step}{self._size(step)}"
        for virtual, slot in self.slots.items():
            yield f"{virtual}: what was there is in the attic as {slot}"
        moved = [self.asides.get(virtual) for virtual in self.slots]
        size_bytes = sum(each.size_bytes for each in moved if each is not None)
        if size_bytes:
            yield (
                f"a pack of {self.root} gets {decimal(size_bytes)} back once that is dropped: "
                "zmount attic --drop"
            )
        yield from (f"off-line: {each}" for each in self.offline)
        yield from (f"refused: {each}" for each in self.refused)
        yield from (f"note: {note}" for note in self.notes)
        if self.seen_by:
            yield "seen to be right by " + ", ".join(self.seen_by)
        if self.error is not None:
            yield f"failed: {self.error}"

    def _size(self, step: RootStep) -> str:
        if not isinstance(step, ReplaceByMountPoint):
            return ""
        aside = self.asides.get(step.virtual)
        if aside is None:
            return ""
        from rich.filesize import decimal

        objects = "one object" if aside.objects == 1 else f"{aside.objects:,} objects"
        return f" ({decimal(aside.size_bytes)} in {objects})"

    def as_json(self) -> dict[str, Any]:
        """Return plain values; sizes are in bytes."""
        return {
            "instance": self.instance,
            "root": self.root or None,
            "steps": [step.as_json() | {"text": str(step)} for step in self.steps],
            "attic": [
                {"path": virtual, "id": slot, **_below(self.asides.get(virtual))}
                for virtual, slot in self.slots.items()
            ],
            "would_move": [
                {"path": step.virtual, **_below(self.asides.get(step.virtual))}
                for step in self.steps
                if isinstance(step, ReplaceByMountPoint) and step.virtual not in self.slots
            ],
            "offline": [{"what": each.what, "hint": each.hint} for each in self.offline],
            "refused": [{"what": each.what, "hint": each.hint} for each in self.refused],
            "notes": list(self.notes),
            "seen_by": list(self.seen_by),
            "error": None if self.error is None else str(self.error),
            "hint": None if self.error is None else self.error.hint,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RemountResult:
    """What became of each instance."""

    instances: tuple[Remounted, ...]
    is_dry_run: bool = False

    def __str__(self) -> str:
        would = "would " if self.is_dry_run else ""
        lines = [
            f"{each.instance}: {would if line_number < len(each.steps) else ''}{line}"
            for each in self.instances
            for line_number, line in enumerate(each.lines)
        ]
        return "\n".join(lines) or "nothing to repair: every mount point is in its place"

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values."""
        return {
            "dry_run": self.is_dry_run,
            "instances": [each.as_json() for each in self.instances],
        }

    def refuse_failures(self) -> None:
        """Raise what went wrong, if anything did.

        :raises RemountFailed: something was not repaired
        :raises ZMountError: the one failure, as it was, or several of one kind
        """
        errors = [(each.instance, each.error) for each in self.instances if each.error]
        refused = [(each.instance, one) for each in self.instances for one in each.refused]
        if len(errors) == 1 and not refused:
            raise errors[0][1]
        if not errors and not refused:
            return
        count = len(refused) + len(errors)
        things = "one thing was" if count == 1 else f"{count} things were"
        told = [f"{name}: {error}" for name, error in errors]
        told += [f"{name}: {one.what}" for name, one in refused]
        hints = [error.hint for _, error in errors] + [one.hint for _, one in refused]
        kinds = {type(error) for _, error in errors}
        kind = kinds.pop() if len(kinds) == 1 and not refused else RemountFailed
        raise kind(
            told[0] if count == 1 else "\n".join((f"{things} not repaired", *told)),
            hint="; ".join(dict.fromkeys(hint for hint in hints if hint)),
        )


def _below(aside: Lying | None) -> dict[str, Any]:
    if aside is None:
        return {"objects": None, "size_bytes": None}
    return {"objects": aside.objects, "size_bytes": aside.size_bytes}
