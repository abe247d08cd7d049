"""``scripts/bench swap``: what it costs to let staging show production's content.

A real ``runzeo`` serves a copy of the file as production, and a stage. One client
commits to production and another one loads from staging all the time, while
staging is swapped: linked and copied in turn, and ``cp`` copies the same file.
A call belongs to a swap if it ended after the swap was called for and began before
a little after the answer; the calls before it are those of a while without a swap.
"""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import transaction
from persistent.mapping import PersistentMapping
from ZEO.ClientStorage import ClientStorage
from ZODB import DB
from ZODB.blob import Blob
from ZODB.utils import load_current, p64

from benchmarks.course import Course, say
from benchmarks.databases import Sample
from benchmarks.packing import PACKER
from benchmarks.runs import fresh
from benchmarks.tables import table, times
from benchmarks.zeo import SETTLE_S, Call, Work, calls_of, client, figures, figures_text, server
from zmount.server.control import call

AFTER_S = 0.5  # so long after the answer a call still belongs to the swap
NEW_BLOBS = 100  # before each swap of a storage with blobs
COPIED_BYTES = 4e9  # larger files are only linked
MANY_BLOBS = 10_000  # so many are only linked
BATCH, BATCHES = 500, 12  # loads, in turn from production and from staging
SMALL_CACHE_BYTES = 1 << 16  # the server shall answer
CONF = """%import zmount.server
<zeo>
  address {address}
</zeo>
<filestorage pub>
  path {path}
  {blobs}
  packer {packer}
</filestorage>
<stage stage>
  path {stage}/Data.fs
  {stage_blobs}
  source pub
  source-path {path}
  {source_blobs}
</stage>
"""
HEAD = (
    "production",
    "swap",
    "to the switch, or copied, ms",
    "to the answer, or on the disk, ms",
    "`cp` takes times",
    "production locked, ms",
    "loop blocked, ms",
    "staging gone, ms",
    "commits before: median / p99 / longest ms",
    "commits during",
)
LOADS_HEAD = ("file", "loads a second from production", "from staging", "ratio")


@dataclass(frozen=True, slots=True, kw_only=True)
class Swap:
    """One swap: ``way`` is a row of the table, ``told`` the server's answer.

    Times are in seconds; it was quiet from ``quiet_s`` on, the swap was called for at
    ``start_s``, and answered at ``end_s``.
    """

    way: str
    quiet_s: float
    start_s: float
    end_s: float
    told: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """A copy by ``cp``, begun at ``start_s``: when it was over, and when it was on the disk."""

    start_s: float
    copied_s: float
    durable_s: float


@dataclass(slots=True)
class Seen:
    """What was seen of one production: swaps, copies, loads a second, calls."""

    swaps: list[Swap] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    loads: dict[str, float] = field(default_factory=dict)
    commits: list[Call] = field(default_factory=list)
    reads: list[Call] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where it is measured: production's file, the server, and how often the clients call."""

    path: Path
    address: str
    commits_per_s: float
    loads_per_s: float
    quiet_s: float

    @property
    def stage(self) -> Path:
        """The stage's directory."""
        return self.path.parent / "stage"

    @property
    def has_blobs(self) -> bool:
        """Whether production has."""
        return (self.path.parent / "blobs").exists()


def swap_tables(samples: Sequence[Sample], course: Course, **load: float) -> str:
    """Return the tables of swaps and of loads; LOAD as Place has it."""
    rows, loads = [], []
    for sample in samples:
        seen = course.run(partial(_seen, sample, course, load))
        rows += [_row(sample, way, seen) for way in dict.fromkeys(s.way for s in seen.swaps)]
        rows += [_copy_row(sample, seen)] if seen.copies else []
        pub, stage = seen.loads["pub"], seen.loads["stage"]
        loads.append([str(sample), f"{pub:,.0f}", f"{stage:,.0f}", f"{stage / pub:.2f}"])
    return f"{table(HEAD, rows, 2)}\n\n{table(LOADS_HEAD, loads)}"


def load_text(*, commits_per_s: float, loads_per_s: float, quiet_s: float) -> str:
    """Return what the clients did, in words."""
    return (
        f"{commits_per_s:g} commits a second to production, {loads_per_s:g} loads a second from "
        f"staging, {quiet_s:g} s before each swap; the longest, and what staging is gone, are "
        "those of all rounds."
    )


def _row(sample: Sample, way: str, seen: Seen) -> list[str]:
    swaps = [swap for swap in seen.swaps if swap.way == way]

    def middle(name: str) -> float:
        return 1000 * median(float(swap.told[name]) for swap in swaps)

    switch_ms = middle("seconds_to_switch")
    during = [_part(seen.commits, swap.start_s, swap.end_s + AFTER_S) for swap in swaps]
    copied_ms = _copied_ms(seen)
    return [
        str(sample),
        way,
        f"{switch_ms:,.0f}",
        f"{1000 * median(swap.end_s - swap.start_s for swap in swaps):,.0f}",
        times(switch_ms, copied_ms) if seen.copies else "",
        f"{middle('production_locked_s'):.2f}",
        f"{middle('loop_blocked_s'):.2f}",
        f"{1000 * max(_longest(seen.reads, s.start_s, s.end_s) for s in swaps):.0f}",
        figures_text([figures(_part(seen.commits, s.quiet_s, s.start_s)) for s in swaps]),
        figures_text([figures(each) for each in during]),
    ]


def _part(calls: Sequence[Call], start_s: float, end_s: float) -> list[Call]:
    return [each for each in calls if each.end_s >= start_s and each.start_s < end_s]


def _longest(reads: Sequence[Call], start_s: float, end_s: float) -> float:
    own = _part(reads, start_s, end_s + AFTER_S)
    return max((each.length_s for each in own), default=0.0)


def _copied_ms(seen: Seen) -> float:
    return 1000 * median([each.copied_s - each.start_s for each in seen.copies] or [0.0])


def _copy_row(sample: Sample, seen: Seen) -> list[str]:
    """Return the row of ``cp``, which takes no part in swaps, for scale."""
    longest = max(_longest(seen.reads, each.start_s, each.durable_s) for each in seen.copies)
    during = [_part(seen.commits, each.start_s, each.durable_s + AFTER_S) for each in seen.copies]
    return [
        str(sample),
        "`cp`, fsync",
        f"{_copied_ms(seen):,.0f}",
        f"{1000 * median(each.durable_s - each.start_s for each in seen.copies):,.0f}",
        *("1.00", "", "", f"{1000 * longest:.0f}", ""),
        figures_text([figures(each) for each in during]),
    ]


def _seen(sample: Sample, course: Course, load: dict[str, float]) -> Seen:
    """Serve SAMPLE; swap, and copy it, in turn."""
    seen = Seen()
    with ExitStack() as stack:
        path = stack.enter_context(fresh(sample, course.directory, is_written=True))
        sockets = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        place = Place(path=path, address=str(Path(sockets, "zeo")), **load)
        place.stage.mkdir()
        stack.enter_context(server(_conf(place), path.parent, place.address))
        with _clients(sample, place, seen):
            _swaps(sample, place, course.rounds, seen)
        seen.loads = _loads(sample, place)
    return seen


@contextmanager
def _clients(sample: Sample, place: Place, seen: Seen) -> Iterator[None]:
    works = (
        Work(kind="write", storage="pub", rate=place.commits_per_s),
        Work(kind="read", storage="stage", rate=place.loads_per_s, oids=sample.documents),
    )
    with ExitStack() as stack:
        commits, reads = (
            stack.enter_context(client(work, place.address, place.path.parent)) for work in works
        )
        yield
    seen.commits, seen.reads = calls_of(commits), calls_of(reads)


def _swaps(sample: Sample, place: Place, rounds: int, seen: Seen) -> None:
    is_copied = place.path.stat().st_size <= COPIED_BYTES
    linked = f"link, {NEW_BLOBS} new blobs" if place.has_blobs else "link"
    seen.swaps.append(_swap("link, first", place))
    for number in range(rounds):
        say(f"round {number + 1}: {sample.name}")
        if place.has_blobs:
            _write_blobs(place)
        seen.swaps.append(_swap(linked, place))
        if is_copied and _blobs_of(sample) < MANY_BLOBS:
            seen.swaps.append(_swap("copy", place))
        if is_copied:
            _copy(place, seen)


def _blobs_of(sample: Sample) -> int:
    return 0 if sample.blob_dir is None else sum(1 for _ in sample.blob_dir.rglob("*.blob"))


def _swap(way: str, place: Place) -> Swap:
    time.sleep(SETTLE_S)
    quiet_s = time.perf_counter()
    time.sleep(place.quiet_s)
    start_s = time.perf_counter()
    mode = way.partition(",")[0]
    told = call(place.stage / "generations" / "control", {"call": "swap", "mode": mode})
    end_s = time.perf_counter()
    time.sleep(AFTER_S)
    say(
        f"  {way}: {1000 * told['seconds_to_switch']:.0f} ms to the switch, answer after "
        f"{1000 * (end_s - start_s):.0f}, locked {1000 * told['production_locked_s']:.2f}, "
        f"loop {1000 * told['loop_blocked_s']:.2f}"
    )
    return Swap(way=way, quiet_s=quiet_s, start_s=start_s, end_s=end_s, told=told)


def _copy(place: Place, seen: Seen) -> None:
    """Copy production's file by ``cp``, then see that it is on the disk."""
    target = place.path.parent / "clone" / "Data.fs"
    time.sleep(SETTLE_S)
    start_s = time.perf_counter()
    subprocess.run(["cp", str(place.path), str(target)], check=True)
    copied_s = time.perf_counter()
    with target.open("rb") as file:
        os.fsync(file.fileno())
    durable_s = time.perf_counter()
    seen.copies.append(Copy(start_s=start_s, copied_s=copied_s, durable_s=durable_s))
    target.unlink()
    time.sleep(AFTER_S)
    say(f"  cp: {1000 * (copied_s - start_s):.0f} ms, and fsync {1000 * (durable_s - start_s):.0f}")


def _write_blobs(place: Place) -> None:
    """Let production have more blobs."""
    with (
        tempfile.TemporaryDirectory(prefix="blobs-") as directory,
        closing(
            DB(ClientStorage(place.address, storage="pub", wait_timeout=60, blob_dir=directory))
        ) as database,
    ):
        connection = database.open()
        mine = connection.root()[f"blobs-{random.getrandbits(64):x}"] = PersistentMapping()
        for number in range(NEW_BLOBS):
            mine[number] = Blob(random.randbytes(1000))
            transaction.commit()
        connection.close()


def _loads(sample: Sample, place: Place) -> dict[str, float]:
    """Return how many loads a second each storage answers: medians of turns."""
    pace: dict[str, list[float]] = {"pub": [], "stage": []}
    with ExitStack() as stack:
        storages = {
            name: stack.enter_context(closing(_small_client(place.address, name))) for name in pace
        }
        for _ in range(BATCHES):
            oids = [p64(random.choice(sample.documents)) for _ in range(BATCH)]
            for name, storage in storages.items():
                start = time.perf_counter()
                for oid in oids:
                    load_current(storage, oid)
                pace[name].append(BATCH / (time.perf_counter() - start))
    return {name: median(each) for name, each in pace.items()}


def _small_client(address: str, name: str) -> ClientStorage:
    return ClientStorage(address, storage=name, wait_timeout=60, cache_size=SMALL_CACHE_BYTES)


def _conf(place: Place) -> str:
    blobs = place.path.parent / "blobs"
    return CONF.format(
        address=place.address,
        path=place.path,
        packer=PACKER,
        stage=place.stage,
        blobs=f"blob-dir {blobs}" if place.has_blobs else "",
        stage_blobs=f"blob-dir {place.stage}/blobs" if place.has_blobs else "",
        source_blobs=f"source-blob-dir {blobs}" if place.has_blobs else "",
    )
