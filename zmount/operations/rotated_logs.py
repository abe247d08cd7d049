"""What came of rotating logs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from zmount.errors import LogsNotRotated

Done = Literal["rotated", "reopened", "left", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRotation:
    """What came of a log.

    ``name`` is whose it is, ``size_bytes`` what was in it. ``reopened``: it had been renamed
    before, and its writer has a new file only now. ``why`` says why it was left or failed.
    ``dropped`` are names of old files that went, ``compressed`` of those that became .gz.
    """

    name: str
    path: PurePosixPath
    size_bytes: int
    done: Done
    why: str = ""
    dropped: tuple[str, ...] = ()
    compressed: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return this for ``--json``."""
        return {
            "name": self.name,
            "path": str(self.path),
            "size_bytes": self.size_bytes,
            "done": self.done,
            "why": self.why,
            "dropped": list(self.dropped),
            "compressed": list(self.compressed),
            "not_compressed_yet": list(self.waiting),
        }

    def __str__(self) -> str:
        more = [f"dropped {', '.join(self.dropped)}"] if self.dropped else []
        more += [f"compressed {', '.join(self.compressed)}"] if self.compressed else []
        more += [f"{', '.join(self.waiting)} is still written"] if self.waiting else []
        said = f"{self.name}: {self.path}: {self.done}" + (f", {self.why}" if self.why else "")
        return "; ".join((said, *more))


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRotations:
    """What came of the logs of ``host``; in a dry run, what would."""

    host: str
    is_dry_run: bool
    logs: tuple[LogRotation, ...]

    @property
    def has_done_something(self) -> bool:
        """True if a file was renamed, compressed or dropped, or a writer has a new one."""
        return any(each.done in ("rotated", "reopened") or each.compressed for each in self.logs)

    @property
    def error(self) -> LogsNotRotated | None:
        """That something failed, if anything did; it names them, each one's ``why`` says why."""
        failed = [each for each in self.logs if each.done == "failed"]
        if not failed:
            return None
        told = "; ".join(f"{each.path}: {each.why}" for each in failed[:3])
        more = f" (and {len(failed) - 3} more)" if len(failed) > 3 else ""
        return LogsNotRotated(
            f"{len(failed)} of {len(self.logs)} logs not rotated: {told}{more}",
            hint="the next run tries again; no line is lost",
        )

    def refuse_failures(self) -> None:
        """Raise that something failed, if anything did.

        :raises LogsNotRotated: it names them
        """
        if (error := self.error) is not None:
            raise error

    def as_json(self) -> dict[str, Any]:
        """Return this for ``--json``."""
        return {
            "host": self.host,
            "dry_run": self.is_dry_run,
            "logs": [each.as_json() for each in self.logs],
        }
