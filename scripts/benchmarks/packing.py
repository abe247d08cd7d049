"""``scripts/bench pack``: a pack by zmount, by FileStorage, and ``cp`` for scale."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from benchmarks.databases import Sample
from benchmarks.runs import Job, Run, Runs, alternating, middle
from benchmarks.tables import table, times

PACKER = "zmount.filestorage.packer.pack"
STOCK, OURS, COPY, SYNCED = "FileStorage", "zmount", "cp", "cp, fsync"
HEAD = (
    "file",
    "pack time",
    "by",
    "seconds",
    "and on the disk after",
    "FileStorage takes times",
    "of `cp` and fsync",
    "anonymous MB",
    "bytes per object",
    "same file as FileStorage's",
)


def pack_table(
    samples: Sequence[Sample],
    pack_times: Sequence[str],
    rounds: int,
    directory: Path,
    packers: Sequence[str],
) -> str:
    """Return the table; PACKERS: "stock", "ours"."""
    rows: list[list[str]] = []
    phases: list[str] = []
    for sample in samples:
        for pack_time in pack_times:
            jobs = _jobs(sample, pack_time, packers)
            runs = alternating(sample, jobs, rounds, directory, _digest)
            rows += [_row(sample, pack_time, label, runs) for label in runs]
            report = runs[OURS][-1].report if OURS in runs else None
            if report is not None:
                phases.append(f"{sample.name}, {pack_time}: {report}")
    return "\n".join((table(HEAD, rows, 3), "", *phases))


def _jobs(sample: Sample, pack_time: str, packers: Sequence[str]) -> list[Job]:
    wants = ("blob_dir",)
    time_s = None if pack_time == "now" else sample.middle_s
    known = {
        "stock": Job(STOCK, "pack", {"pack_time_s": time_s, "packer": None}, wants),
        "ours": Job(OURS, "pack", {"pack_time_s": time_s, "packer": PACKER}, wants),
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


def _row(sample: Sample, pack_time: str, label: str, runs: Runs) -> list[str]:
    own = runs[label]
    seconds = middle(own, lambda run: run.seconds)
    row = [str(sample), pack_time, label, f"{seconds:.2f}"]
    if label in (COPY, SYNCED):
        return [*row, "", "", "", "", "", ""]
    durable_s = middle(own, _durable_s)
    memory = middle(own, lambda run: run.memory_bytes)
    stock = runs.get(STOCK)
    return [
        *row,
        f"{durable_s:.2f}",
        times(durable_s, middle(stock, lambda run: run.seconds)) if stock else "",
        times(middle(runs[SYNCED], lambda run: run.seconds), durable_s),
        f"{memory / 1e6:.0f}",
        f"{memory / sample.objects:.0f}",
        ("yes" if stock[0].digest == own[0].digest else "no") if stock else "",
    ]
