"""What became of a storage that was to be packed, and of all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from zmount.errors import PackFailed, ZMountError
from zmount.operations.pack_plan import Left, PackJob, Way
from zmount.topology.storages import Storage

Done = Literal["packed", "would be packed", "nothing to free", "skipped", "failed"]
MOST_DANGLING = 20  # are listed; the packer's own report has more


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What became of ``storage``; of a dry run, what would.

    ``at`` is when it began, in seconds since the epoch. Sizes are the Data.fs',
    in bytes. What only zmount's packer counts is None where another packed:
    objects and revisions dropped, blobs removed, the longest ``commit_stall_s``.
    ``dangling`` are the first of ``dangling_count`` references to objects that
    do not exist: oid, and the oid of who refers to it (None: another database).
    One that is packed has an ``error`` too where something was left to do.
    """

    storage: Storage
    done: Done
    way: Way | None = None
    at: float = 0.0
    days: float | None = None
    gc: bool | None = None
    size_before: int | None = None
    size_after: int | None = None
    objects_dropped: int | None = None
    revisions_dropped: int | None = None
    blobs_removed: int | None = None
    seconds: float | None = None
    commit_stall_s: float | None = None
    dangling: tuple[tuple[str, str | None], ...] = ()
    dangling_count: int = 0
    unknown_records: int = 0
    notes: tuple[str, ...] = ()
    error: ZMountError | None = None

    @property
    def freed_bytes(self) -> int | None:
        """By how much the Data.fs is smaller now; less than 0 if commits made it grow."""
        if self.size_before is None or self.size_after is None:
            return None
        return self.size_before - self.size_after

    def as_json(self) -> dict[str, Any]:
        """Return plain values, for JSON and for the history."""
        return {
            "storage": self.storage.name,
            "result": self.done,
            "way": self.way,
            "started": self.at or None,
            "days": self.days,
            "gc": self.gc,
            "size_before": self.size_before,
            "size_after": self.size_after,
            "freed": self.freed_bytes,
            "objects_dropped": self.objects_dropped,
            "revisions_dropped": self.revisions_dropped,
            "blobs_removed": self.blobs_removed,
            "seconds": None if self.seconds is None else round(self.seconds, 3),
            "commit_stall_s": self.commit_stall_s,
            "dangling_count": self.dangling_count,
            "dangling": [{"oid": oid, "holder": holder} for oid, holder in self.dangling],
            "unknown_records": self.unknown_records,
            "notes": list(self.notes),
            "error": None if self.error is None else str(self.error),
            "hint": None if self.error is None else self.error.hint,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PackResult:
    """What became of the storages of ``host``, in the topology's order."""

    host: str
    is_dry_run: bool
    storages: tuple[Packed, ...]

    def as_json(self) -> dict[str, Any]:
        """Return this for ``--json``."""
        return {
            "host": self.host,
            "dry_run": self.is_dry_run,
            "storages": [each.as_json() for each in self.storages],
        }

    def refuse_failures(self) -> None:
        """Raise that something failed, if anything did.

        :raises PackFailed: it names them; why, each one's ``error`` says
        """
        wrong = [each for each in self.storages if each.error is not None]
        if not wrong:
            return
        failed = [each for each in wrong if each.done == "failed"]
        partly = [each for each in wrong if each.done != "failed"]
        said = [
            self._counted(failed, "not packed"),
            self._counted(partly, "packed, but not all was done"),
        ]
        hints = (each.error.hint for each in wrong if each.error is not None)
        raise PackFailed(
            "; ".join(filter(None, said)),
            hint="; ".join(dict.fromkeys(filter(None, hints))),
        )

    def _counted(self, some: list[Packed], what: str) -> str:
        """Return how many of all WHAT happened to, and which; "" for none."""
        if not some:
            return ""
        names = ", ".join(each.storage.name for each in some)
        were = "was" if len(some) == 1 else "were"
        return f"{len(some)} of {len(self.storages)} {were} {what}: {names}"


def left_out(left: Left) -> Packed:
    """Return the result of a storage that was not even tried."""
    error = PackFailed(left.why, hint=left.hint) if left.is_failure else None
    notes = () if left.is_failure else (left.why + (f": {left.hint}" if left.hint else ""),)
    return Packed(
        storage=left.storage,
        done="failed" if left.is_failure else "skipped",
        notes=notes,
        error=error,
    )


def packed(
    job: PackJob,
    report: Mapping[str, Any],
    *,
    at: float,
    seconds: float,
    size_after: int | None,
    error: ZMountError | None,
) -> Packed:
    """Return what became of JOB, which began AT and took so many SECONDS.

    REPORT is the packer's, empty where it makes none; ERROR is what the call
    raised. SIZE_AFTER counts where there is no report.
    """
    if not report:
        return _unreported(job, at=at, seconds=seconds, size_after=size_after, error=error)
    is_packed = report.get("result") == "packed"
    if error is not None or not (is_packed or report.get("result") == "nothing to free"):
        error = _said(report, error)
    return Packed(
        storage=job.storage,
        done="failed" if error is not None and not is_packed else report["result"],
        way=job.way,
        at=at,
        days=job.days,
        gc=bool(report.get("gc", job.gc)),
        size_before=_int(report, "size_before"),
        size_after=_int(report, "size_after"),
        objects_dropped=_int(report, "objects_dropped"),
        revisions_dropped=_int(report, "revisions_dropped"),
        blobs_removed=_int(report, "blobs_removed"),
        seconds=seconds,
        commit_stall_s=report.get("commit_stall_s"),
        dangling=_dangling(report),
        dangling_count=_int(report, "dangling_count") or 0,
        unknown_records=_int(report, "unknown_records") or 0,
        notes=job.notes,
        error=error,
    )


def would_be(job: PackJob, report: Mapping[str, Any], *, seconds: float) -> Packed:
    """Return what the REPORT of a preview says of JOB."""
    frees = report.get("result") == "packed"
    return Packed(
        storage=job.storage,
        done="would be packed" if frees else "nothing to free",
        way=job.way,
        days=job.days,
        gc=job.gc,
        size_before=_int(report, "size_before"),
        size_after=_int(report, "size_after"),
        objects_dropped=_int(report, "objects_dropped"),
        revisions_dropped=_int(report, "revisions_dropped"),
        blobs_removed=_int(report, "blobs_removed"),
        seconds=seconds,
        dangling=_dangling(report),
        dangling_count=_int(report, "dangling_count") or 0,
        unknown_records=_int(report, "unknown_records") or 0,
        notes=job.notes,
    )


def failed(job: PackJob, error: ZMountError, *, at: float) -> Packed:
    """Return that JOB did not even begin at the time AT, because of ERROR."""
    return Packed(
        storage=job.storage, done="failed", way=job.way, at=at, notes=job.notes, error=error
    )


def _unreported(
    job: PackJob, *, at: float, seconds: float, size_after: int | None, error: ZMountError | None
) -> Packed:
    """Return what can be known without the packer's report: sizes, and that it ended."""
    done: Done = "failed"
    if error is None:
        done = "nothing to free" if size_after == job.size_bytes is not None else "packed"
    told = ("its packer told no figures",) if done == "packed" else ()
    return Packed(
        storage=job.storage,
        done=done,
        way=job.way,
        at=at,
        days=job.days,
        gc=job.gc,
        size_before=job.size_bytes,
        size_after=size_after,
        seconds=seconds,
        notes=(*job.notes, *told),
        error=error,
    )


def _said(report: Mapping[str, Any], error: ZMountError | None) -> ZMountError:
    """Return the packer's own reason rather than what came of it on its way here."""
    reason = str(report.get("reason") or error or "the packer did not say why")
    hint = error.hint if error is not None else ""
    if "no garbage collection" in reason:
        hint = "zmount pack --no-gc packs the history only"
    return PackFailed(reason, hint=hint)


def _dangling(report: Mapping[str, Any]) -> tuple[tuple[str, str | None], ...]:
    found = report.get("dangling") or ()
    return tuple((str(each["oid"]), each["holder"]) for each in found[:MOST_DANGLING])


def _int(report: Mapping[str, Any], key: str) -> int | None:
    value = report.get(key)
    return value if isinstance(value, int) else None
