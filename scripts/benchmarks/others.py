"""``scripts/bench index``, ``verify`` and ``clone``: zmount and what there was before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.course import Course
from benchmarks.databases import Sample
from benchmarks.runs import Job, alternating, middle
from benchmarks.tables import table, times

OURS = "zmount"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Jobs, and the labels of those that are added up for the others to be compared with."""

    jobs: Sequence[Job]
    base: Sequence[str]

    def table(self, samples: Sequence[Sample], course: Course) -> str:
        """Run the jobs and return the table."""
        base = " and ".join(self.base)
        rows = []
        for sample in samples:
            runs = alternating(sample, self.jobs, course)
            seconds = {label: middle(own, lambda run: run.seconds) for label, own in runs.items()}
            base_s = sum(seconds[label] for label in self.base)
            for label, own in runs.items():
                memory = middle(own, lambda run: run.memory_bytes) / 1e6
                ratio = times(seconds[label], base_s)
                share = times(base_s, seconds[label])
                rows.append(
                    [str(sample), label, f"{seconds[label]:.3f}", ratio, share, f"{memory:.0f}"]
                )
        head = ("file", "by", "seconds", f"{base} takes times", f"of {base}", "anonymous MB")
        return table(head, rows, 2)


INDEX = Comparison(
    (Job("FileStorage", "open_without_index"), Job(OURS, "build_index")), ("FileStorage",)
)
VERIFY = Comparison(
    (Job("fstest", "fstest"), Job("fsrefs", "fsrefs"), Job(OURS, "verify", wants=("blob_dir",))),
    ("fstest", "fsrefs"),
)
CLONE = Comparison(
    (
        Job("cp", "copy", {"fsync": False}, ("directory",)),
        Job("cp, fsync", "copy", {"fsync": True}, ("directory",)),
        Job(OURS, "clone", wants=("directory",)),
    ),
    ("cp",),
)
