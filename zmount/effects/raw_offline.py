"""What stands in for a mount point that is off-line, read from its record."""

from __future__ import annotations

from dataclasses import dataclass

from zmount.effects.raw_records import Record

NOTE = "_zmount_offline"  # as agent/offline_steps.py writes it


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """What the folder says that stands in for a mount point."""

    since: str
    reason: str
    by: str
    site: str

    def __str__(self) -> str:
        by = f" by {self.by}" if self.by else ""
        return f"since {self.since}{by}" + (f": {self.reason}" if self.reason else "")


def stand_in(record: Record | None) -> StandIn | None:
    """Return what RECORD says if it stands in for a mount point, else None."""
    note = record.attributes.get(NOTE) if record is not None else None
    if not isinstance(note, dict):
        return None
    said = {key: note.get(key) for key in ("since", "reason", "by", "site")}
    return StandIn(**{key: "" if value is None else str(value) for key, value in said.items()})
