"""What became of a pack: for its log, for ``.pack-report``, for who asked what it would do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from zmount.filestorage.pack_files import PackFiles
from zmount.filestorage.packing import Figures
from zmount.sizes import counted

MOST_WARNINGS = 10


@dataclass(slots=True)
class PackReport:
    """Sizes are in bytes, times in seconds, ``stop`` is the pack time's tid.

    ``result`` is "packed", "nothing to free" or, with a ``reason``, "failed".
    ``commit_stall_s`` is how long the commit lock was held.
    """

    files: PackFiles
    gc: bool
    stop: int
    result: str = "failed"
    reason: str = ""
    started: float = field(default_factory=time.time)
    duration_s: float = 0.0
    size_before: int = 0
    size_after: int = 0
    commit_stall_s: float = 0.0
    blobs_removed: int = 0
    figures: Figures = field(default_factory=Figures)

    def settle(self, result: str, reason: str = "") -> None:
        """Say what became of it."""
        self.result, self.reason = result, reason

    @property
    def objects_dropped(self) -> int:
        """Objects that are gone altogether."""
        figures = self.figures
        return figures.objects_before - figures.objects_after if self.is_packed else 0

    @property
    def revisions_dropped(self) -> int:
        """Data records that are gone, those of such objects included."""
        return self.figures.revisions_dropped if self.is_packed else 0

    @property
    def is_packed(self) -> bool:
        """Whether something was freed."""
        return self.result == "packed"

    def as_json(self) -> dict[str, Any]:
        """Return the report as an object of JSON."""
        return {
            "result": self.result,
            "reason": self.reason,
            "gc": self.gc,
            "pack_tid": f"{self.stop:016x}",
            "started": self.started,
            "duration_s": self.duration_s,
            "size_before": self.size_before,
            "size_after": self.size_after,
            "objects_before": self.figures.objects_before,
            "objects_dropped": self.objects_dropped,
            "revisions_dropped": self.revisions_dropped,
            "commit_stall_s": self.commit_stall_s,
            "blobs_removed": self.blobs_removed,
            "unknown_records": self.figures.unknown_records,
            "dangling_count": self.figures.dangling_count,
            "dangling": [
                {"oid": f"{oid:#x}", "holder": None if holder is None else f"{holder:#x}"}
                for oid, holder in self.figures.dangling
            ],
        }

    def warnings(self) -> Iterator[str]:
        """Yield what an administrator should know although the pack went on."""
        path, figures = self.files.path, self.figures
        for oid, holder in figures.dangling[:MOST_WARNINGS]:
            who = "another database" if holder is None else f"oid {holder:#x}"
            yield f"{path}: {who} refers to oid {oid:#x}, which does not exist"
        if figures.dangling_count > MOST_WARNINGS:
            yield f"{path}: {figures.dangling_count} references in all lead nowhere"
        if figures.unknown_records:
            yield f"{path}: {figures.unknown_records} records were read by ZODB's own referencesf"

    def __str__(self) -> str:
        if not self.is_packed:
            return f"{self.files.path}: {self.result}: {self.reason}"
        objects = counted(self.objects_dropped, "object")
        return (
            f"{self.files.path}: packed in {self.duration_s:.1f} s, "
            f"{self.size_before} bytes -> {self.size_after}, {objects} "
            f"and {counted(self.revisions_dropped, 'revision')} dropped, "
            f"commits waited {1000 * self.commit_stall_s:.0f} ms"
        )
