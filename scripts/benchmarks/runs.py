"""Runs what is measured: in turn, each time in a fresh process on a fresh file."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import click

from benchmarks.course import Course, say
from benchmarks.databases import Sample

MEASURED = Path(__file__).with_name("measured.py")
MEMORY_EVERY_S = 0.005


@dataclass(frozen=True, slots=True)
class Job:
    """Something to measure: a function of ``measured`` and what it gets besides the file.

    ``wants`` names more of what it gets: ``blob_dir``, ``directory``.
    """

    label: str
    function: str
    arguments: dict[str, Any] = field(default_factory=dict)
    wants: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took; ``memory_bytes``: anonymous, of all its processes, beyond the start.

    ``figures`` is what the function returned.
    """

    seconds: float
    memory_bytes: int
    figures: dict[str, Any]
    digest: str


Runs = dict[str, list[Run]]


def alternating(
    sample: Sample,
    jobs: Sequence[Job],
    course: Course,
    digest: Callable[[Path], str] = lambda path: "",
) -> Runs:
    """Run all JOBS in turn as COURSE says; return the runs by the job's label.

    :param digest: called with the data file after each run
    """
    runs: Runs = {job.label: [] for job in jobs}
    for number in range(course.rounds):
        for job in jobs:
            run = course.run(partial(_run, sample, job, course.directory, digest))
            runs[job.label].append(run)
            say(
                f"round {number + 1}: {sample.name}, {job.label}: {run.seconds:.3f} s, "
                f"{run.memory_bytes / 1e6:.1f} MB"
            )
    return runs


def _run(sample: Sample, job: Job, directory: Path, digest: Callable[[Path], str]) -> Run:
    with fresh(sample, directory) as path:
        return measure(job, path, digest)


@contextmanager
def fresh(sample: Sample, directory: Path, *, is_written: bool = False) -> Iterator[Path]:
    """Yield the path of a copy of SAMPLE in DIRECTORY, in the page cache, with its index.

    The copy is hard links, for a pack writes another file; ``is_written``: a
    real copy, for something commits to it.
    """
    work = directory / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    path = work / "Data.fs"
    before = sample.path.stat()
    link = shutil.copyfile if is_written else os.link
    link(sample.path, path)
    shutil.copy(f"{sample.path}.index", f"{path}.index")
    if sample.blob_dir is not None:
        shutil.copytree(sample.blob_dir, work / "blobs", copy_function=os.link)
    (work / "clone").mkdir()
    os.sync()
    _warm(path)
    try:
        yield path
        after = sample.path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise click.ClickException(f"{sample.path} was changed by what was measured")
    finally:
        shutil.rmtree(work)


def measure(job: Job, path: Path, digest: Callable[[Path], str]) -> Run:
    """Run JOB on the data file at PATH."""
    blobs = path.parent / "blobs"
    offered = {
        "blob_dir": str(blobs) if blobs.exists() else None,
        "directory": str(path.parent / "clone"),
    }
    arguments = {"path": str(path), **job.arguments, **{key: offered[key] for key in job.wants}}
    command = [sys.executable, str(MEASURED), job.function, json.dumps(arguments)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        is_ready = process.stdout.readline() == "ready\n"
        with Memory(process.pid) as memory:
            if is_ready:
                process.stdin.write("go\n")
                process.stdin.flush()
            output = process.stdout.read()
    if process.returncode:
        raise click.ClickException(f"{job.label}: exit status {process.returncode}")
    figures = json.loads(output.splitlines()[-1])
    report = Path(f"{path}.pack-report")
    if report.exists():
        say(report.read_text().rstrip())
    return Run(
        seconds=figures.pop("seconds"),
        memory_bytes=memory.growth_bytes,
        figures=figures,
        digest=digest(path),
    )


class Memory:
    """Watches the anonymous memory of a process and its descendants, from a thread."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._first = self._peak = anonymous_bytes(pid)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._is_over.set()
        self._thread.join()

    @property
    def growth_bytes(self) -> int:
        """How much more it was at most than at the start."""
        return self._peak - self._first

    def _watch(self) -> None:
        while not self._is_over.wait(MEMORY_EVERY_S):
            self._peak = max(self._peak, anonymous_bytes(self._pid))


def anonymous_bytes(pid: int) -> int:
    """Return the anonymous memory of a process and its descendants; 0 once it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except (FileNotFoundError, ProcessLookupError):
        return 0
    own = sum(1024 * int(line.split()[1]) for line in status.splitlines() if "RssAnon" in line)
    return own + sum(map(anonymous_bytes, children))


def middle(runs: Sequence[Run], figure: Callable[[Run], float]) -> float:
    """Return the median of a figure."""
    return median(map(figure, runs))


def _warm(path: Path) -> None:
    buffer = bytearray(1 << 22)
    with path.open("rb", 0) as file:
        while file.readinto(buffer):
            pass
