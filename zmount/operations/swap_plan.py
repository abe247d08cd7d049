"""What a swap of a site's staging would do, and why it is not done.

Pure: judges only by what was seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from zmount.effects.stage_files import Change, Changes, Kept, StageState
from zmount.errors import SwapRefused, ZMountError
from zmount.operations.swap_caches import ClientCache
from zmount.sizes import counted
from zmount.tids import moment, tid_moment, tid_text
from zmount.topology.sites import Site
from zmount.topology.storages import Storage

Way = Literal["ZEO", "files"]
SPARE_BYTES = 50_000_000  # that a copy leaves free


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapWish:
    """What the operator wants.

    ``names`` are sites, ``is_all``: every site that can be swapped. ``mode`` is
    "link", "copy" or "" for what zmount.conf says. Changes on staging go only if he
    ``drops_changes``.
    """

    names: tuple[str, ...] = ()
    is_all: bool = False
    mode: str = ""
    drops_changes: bool = False
    undoes: bool = False
    is_dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Volumes:
    """Where the files would be: ``free_bytes`` there, and why production is not linked to."""

    free_bytes: int
    why_copied: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A site and its two storages as they are right now.

    ``way`` is how staging can be told to swap. ``production_bytes`` are its Data.fs',
    ``production_blob_bytes`` its blobs' (None: too many to count), ``index_bytes`` its
    index's. ``oids`` are the objects that instances' mount points show of staging,
    ``caches`` what is to become of clients' persistent caches of it.
    """

    site: Site
    staging: Storage
    way: Way
    state: StageState
    changes: Changes
    production_tid: bytes
    production_bytes: int
    production_blob_bytes: int | None
    index_bytes: int
    volumes: Volumes
    oids: Mapping[str, bytes | None]
    caches: tuple[ClientCache, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SwapPlan:
    """What is to be done about the site that was ``seen``; ``error`` says why it is not.

    ``back_to`` is what an undo brings back.
    """

    seen: Seen
    wish: SwapWish
    mode: str
    why_copied: str = ""
    back_to: Kept | None = None
    error: ZMountError | None = None

    @property
    def site(self) -> Site:
        """The site."""
        return self.seen.site

    @property
    def needed_bytes(self) -> int | None:
        """How much of the disk it takes at once; None: nobody knows how large the blobs are."""
        if self.wish.undoes:
            return 0
        if self.mode == "link":
            return self.seen.index_bytes
        blobs = self.seen.production_blob_bytes
        return None if blobs is None else self.seen.production_bytes + blobs

    @property
    def drops(self) -> Changes:
        """What people did on staging, and would not see there any more."""
        return self.seen.changes

    def as_json(self) -> dict[str, Any]:
        """Return plain values; sizes are in bytes."""
        seen = self.seen
        return {
            "site": self.site.name,
            "storage": seen.staging.name,
            "does": "undo" if self.wish.undoes else "swap",
            "way": seen.way,
            "mode": None if self.wish.undoes else self.mode,
            "why_copied": self.why_copied or None,
            "back_to": None if self.back_to is None else kept_json(self.back_to),
            "production": {
                "storage": self.site.production.name,
                "last_tid": seen.production_tid.hex(),
                "last_written": tid_moment(seen.production_tid),
                "size": seen.production_bytes,
            },
            "staging": state_json(seen.state, seen.changes),
            "caches": [each.as_json() for each in seen.caches],
            "needs_drop_changes": must_be_told(self),
            "needed_bytes": self.needed_bytes,
            "free_bytes": seen.volumes.free_bytes,
            "error": None if self.error is None else str(self.error),
            "hint": None if self.error is None else self.error.hint,
        }


def plan_swap(seen: Seen, wish: SwapWish) -> SwapPlan:
    """Return what to do about the site that was SEEN."""
    assert seen.staging.stage is not None
    mode, why = wish.mode or seen.staging.stage.mode, ""
    if mode == "link" and seen.volumes.why_copied:
        mode, why = "copy", seen.volumes.why_copied
    back_to = seen.state.before if wish.undoes else None
    plan = SwapPlan(seen=seen, wish=wish, mode=mode, why_copied=why, back_to=back_to)
    return replace(plan, error=_refusal(plan))


def must_be_told(plan: SwapPlan) -> bool:
    """True if PLAN drops what nobody said may go."""
    return bool(plan.drops.transactions) and not plan.wish.drops_changes


def refusal_of_changes(plan: SwapPlan) -> SwapRefused:
    """Return that the changes on staging are not dropped unasked."""
    changes = plan.drops
    last = changes.last[-1]
    who = f" by {last.user}" if last.user else ""
    return SwapRefused(
        f"{plan.seen.staging.name}: {changes_counted(changes)} that production does not have would "
        f"be gone from staging, the last{who} at {tid_text(last.tid)}",
        hint="--drop-changes; they are kept, and --undo brings them back",
    )


def changes_counted(changes: Changes) -> str:
    """Return how many CHANGES there are, in words."""
    transactions = counted(changes.transactions, "transaction")
    return f"{counted(changes.objects, 'object')} in {transactions}"


def _refusal(plan: SwapPlan) -> ZMountError | None:
    seen, name = plan.seen, plan.seen.staging.name
    if plan.wish.undoes:
        if plan.back_to is None:
            never = not any(seen.state.floor) and not seen.state.broken
            why = "it was never swapped" if never else "nothing from before is kept"
            return SwapRefused(f"{name}: {why}", hint=f"zmount show {plan.site.name}")
        return None
    if not any(seen.production_tid):
        return SwapRefused(f"{name}: production, {plan.site.production.name}, is empty")
    needed, free = plan.needed_bytes or 0, seen.volumes.free_bytes
    if needed + (SPARE_BYTES if plan.mode == "copy" else 0) > free:
        return SwapRefused(
            f"{name}: {needed:,} bytes are needed in {_where(seen)}, and {free:,} are free",
            hint="stage-mode link, with staging on production's volume"
            if plan.mode == "copy"
            else "",
        )
    return None


def _where(seen: Seen) -> str:
    assert seen.staging.stage is not None
    return str(seen.staging.stage.generations)


def state_json(state: StageState, changes: Changes | None) -> dict[str, Any]:
    """Return what a stage shows as plain values; CHANGES None: they were not counted."""
    return {
        "generation": state.generation,
        "broken": state.broken or None,
        "production_tid": state.base_tid.hex() if any(state.base_tid) else None,
        "production_written": tid_moment(state.base_tid),
        "swapped_at": moment(state.swapped_at),
        "mode": state.mode or None,
        "last_tid": state.last_tid.hex(),
        "last_written": tid_moment(state.last_tid),
        "size": state.size_bytes,
        "pinned_bytes": state.pinned_bytes,
        "kept": [kept_json(each) for each in state.kept],
        "changes": None if changes is None else changes_json(changes),
    }


def changes_json(changes: Changes) -> dict[str, Any]:
    """Return CHANGES as plain values."""
    return {
        "objects": changes.objects,
        "transactions": changes.transactions,
        "last": [_change_json(each) for each in changes.last],
    }


def _change_json(change: Change) -> dict[str, Any]:
    return {
        "tid": change.tid.hex(),
        "written": tid_moment(change.tid),
        "user": change.user,
        "description": change.description,
        "objects": change.objects,
    }


def kept_json(kept: Kept) -> dict[str, Any]:
    """Return KEPT as plain values; ``generation`` 0 is the file from before the first swap."""
    return {
        "generation": kept.generation,
        "production_written": tid_moment(kept.base_tid),
        "swapped_at": moment(kept.swapped_at),
        "pinned_bytes": kept.pinned_bytes,
    }
