"""``scripts/bench pack``: a pack by zmount, by FileStorage, and ``cp`` for scale."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.course import Course
from benchmarks.databases import Sample
from benchmarks.runs import Job, Run, Runs, alternating, middle
from benchmarks.tables import table, times

PACKER = "zmount.filestorage.packer.pack"
STOCK, OURS, COPY, SYNCED = "FileStorage", "zmount", "cp", "cp, fsync"
WANTS = ("blob_dir",)
HEAD = (
    "file",
    "pack time",
    "by",
    "seconds",
    "on the disk after",
    "FileStorage takes times",
    "of `cp` and fsync",
    "anonymous MB",
    "bytes per object",
    "FileStorage's file",
)


@dataclass(frozen=True, slots=True)
class Measured:
    """The runs of one file and pack time; the same of the smallest file measured."""

    sample: Sample
    runs: Runs
    smallest: Measured | None

    def row(self, label: str, pack_time: str) -> list[str]:
        """Return the row of the job LABEL."""
        own, stock = self.runs[label], self.runs.get(STOCK)
        seconds = middle(own, lambda run: run.seconds)
        row = [str(self.sample), pack_time, label, f"{seconds:.2f}"]
        if label in (COPY, SYNCED):
            return [*row, "", "", "", "", "", ""]
        durable_s = middle(own, _durable_s)
        return [
            *row,
            f"{durable_s:.2f}",
            times(durable_s, middle(stock, lambda run: run.seconds)) if stock else "",
            times(middle(self.runs[SYNCED], lambda run: run.seconds), durable_s),
            f"{self.memory_bytes(label) / 1e6:.1f}",
            self._bytes_per_object(label),
            _yes_or_no(stock[0].digest == own[0].digest) if stock else "",
        ]

    def memory_bytes(self, label: str) -> float:
        """Return the anonymous memory that a job takes."""
        return middle(self.runs[label], lambda run: run.memory_bytes)

    def _bytes_per_object(self, label: str) -> str:
        """Return what each object takes that the smallest file does not have."""
        if self.smallest is None:
            return ""
        more = self.memory_bytes(label) - self.smallest.memory_bytes(label)
        return f"{more / (self.sample.objects - self.smallest.sample.objects):.0f}"


def pack_table(
    samples: Sequence[Sample],
    pack_times: Sequence[str],
    packers: Sequence[str],
    course: Course,
) -> str:
    """Return the table; SAMPLES from small to large, PACKERS: "stock", "ours"."""
    rows = []
    smallest: dict[str, Measured] = {}
    for sample in samples:
        for pack_time in pack_times:
            jobs = _jobs(sample, pack_time, packers)
            runs = alternating(sample, jobs, course, _digest)
            measured = Measured(sample, runs, smallest.get(pack_time))
            smallest.setdefault(pack_time, measured)
            rows += [measured.row(label, pack_time) for label in runs]
    return table(HEAD, rows, 3)


def _jobs(sample: Sample, pack_time: str, packers: Sequence[str]) -> list[Job]:
    time_s = None if pack_time == "now" else sample.middle_s
    known = {
        "stock": Job(STOCK, "pack", {"pack_time_s": time_s, "packer": None}, WANTS),
        "ours": Job(OURS, "pack", {"pack_time_s": time_s, "packer": PACKER}, WANTS),
    }
    return [
        *(known[packer] for packer in packers),
        Job(COPY, "copy", {"fsync": False}, ("directory",)),
        Job(SYNCED, "copy", {"fsync": True}, ("directory",)),
    ]


def _digest(path: Path) -> str:
    digest = hashlib.sha1()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def _durable_s(run: Run) -> float:
    return run.seconds + float(run.figures["fsync_s"])


def _yes_or_no(value: bool) -> str:
    return "yes" if value else "no"
