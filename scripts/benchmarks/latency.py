"""``scripts/bench latency``: how a pack through a ZEO server disturbs its clients.

A real ``runzeo`` serves a copy of the file. Clients in processes of their own
commit small transactions and load objects at a steady rate; after a while the
storage is packed through the server. A call belongs to the pack if it ended
after the pack began and began before the pack ended.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from ZEO.ClientStorage import ClientStorage

from benchmarks.course import Course, say
from benchmarks.databases import Sample
from benchmarks.packing import PACKER
from benchmarks.runs import fresh
from benchmarks.tables import table, times
from benchmarks.zeo import SETTLE_S, Call, Work, calls_of, client, figures, figures_text, server

PACKERS = {"none": "no pack", "stock": "FileStorage", "ours": "zmount"}
WORST = 5  # stalls to tell of
CONF = """<zeo>
  address {address}
</zeo>
<filestorage 1>
  path {path}
  {blobs}
  {packer}
</filestorage>
"""
HEAD = (
    "file",
    "pack by",
    "calls",
    "before: median / p99 / longest ms",
    "during: median / p99 / longest ms",
    "p99 during / before",
    "pack s",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the clients do. Rates are calls a second, of each client."""

    writers: int
    commits_per_s: float
    readers: int
    loads_per_s: float
    quiet_s: float  # how long it is measured without a pack


@dataclass(frozen=True, slots=True)
class Seen:
    """One run: the calls of a kind before and during the pack, and the pack's length."""

    before: Sequence[Call]
    during: Sequence[Call]
    pack_s: float


def latency_table(
    samples: Sequence[Sample], packers: Sequence[str], load: Load, course: Course
) -> str:
    """Return the table; PACKERS: some of PACKERS' keys."""
    rows = []
    for sample in samples:
        seen: dict[tuple[str, str], list[Seen]] = {}
        for number in range(course.rounds):
            for packer in packers:
                say(f"round {number + 1}: {sample.name}, {PACKERS[packer]}")
                run = partial(_run, sample, packer, load, course.directory)
                for kind, one in course.run(run).items():
                    seen.setdefault((packer, kind), []).append(one)
        rows += [_row(sample, packer, kind, runs) for (packer, kind), runs in seen.items()]
    return table(HEAD, rows, 3)


def load_text(load: Load) -> str:
    """Return what the clients did, in words."""
    return (
        f"{load.writers} writers of {load.commits_per_s:g} commits a second, "
        f"{load.readers} readers of {load.loads_per_s:g} loads a second, "
        f"{load.quiet_s:g} s before each pack. The longest is that of all rounds."
    )


def _row(sample: Sample, packer: str, kind: str, runs: Sequence[Seen]) -> list[str]:
    before = [figures(run.before) for run in runs]
    during = [figures(run.during) for run in runs]
    p99 = [median(one[1] for one in part) for part in (before, during)]
    return [
        str(sample),
        PACKERS[packer],
        kind,
        figures_text(before),
        figures_text(during),
        times(*p99),
        f"{median(run.pack_s for run in runs):.1f}",
    ]


def _run(sample: Sample, packer: str, load: Load, directory: Path) -> dict[str, Seen]:
    """Serve SAMPLE, let the clients work, pack; return what commits and loads saw."""
    with ExitStack() as stack:
        path = stack.enter_context(fresh(sample, directory, is_written=True))
        sockets = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        address = str(Path(sockets, "zeo"))  # a socket's path must be short
        stack.enter_context(server(_conf(path, address, packer), path.parent, address))
        storage = ClientStorage(address, wait_timeout=60, cache_size=1 << 16)
        stack.callback(storage.close)
        with ExitStack() as clients:
            write = Work(kind="write", rate=load.commits_per_s)
            read = Work(kind="read", rate=load.loads_per_s, oids=sample.documents)
            writers, readers = (
                [clients.enter_context(client(work, address, path.parent)) for _ in range(count)]
                for work, count in ((write, load.writers), (read, load.readers))
            )
            time.sleep(SETTLE_S)
            start = time.perf_counter()
            time.sleep(load.quiet_s)
            packed = time.perf_counter()
            if packer == "none":
                time.sleep(load.quiet_s)
            else:
                storage.pack(time.time(), wait=True)
            end = time.perf_counter()
        seen = {}
        for kind, paths in (("commits", writers), ("loads", readers)):
            calls = [call for samples in paths for call in calls_of(samples)]
            seen[kind] = Seen(
                before=[c for c in calls if start <= c.start_s and c.end_s < packed],
                during=[c for c in calls if packed <= c.end_s and c.start_s < end],
                pack_s=end - packed,
            )
            _tell_worst(kind, seen[kind], packed)
    return seen


def _tell_worst(kind: str, seen: Seen, packed: float) -> None:
    worst = sorted(seen.during, key=lambda call: call.length_s)[-WORST:]
    say(
        f"  pack {seen.pack_s:.2f} s; longest {kind}, ms (at s): "
        + ", ".join(f"{1000 * c.length_s:.1f} ({c.start_s - packed:.2f})" for c in reversed(worst))
    )


def _conf(path: Path, address: str, packer: str) -> str:
    blobs = path.parent / "blobs"
    return CONF.format(
        address=address,
        path=path,
        blobs=f"blob-dir {blobs}" if blobs.exists() else "",
        packer=f"packer {PACKER}" if packer == "ours" else "",
    )
