"""``scripts/bench latency``: how a pack through a ZEO server disturbs its clients.

A real ``runzeo`` serves a copy of the file. Clients in processes of their own
commit small transactions and load objects at a steady rate; after a while the
storage is packed through the server. A call belongs to the pack if it ended
after the pack began and began before the pack ended.
"""

from __future__ import annotations

import ctypes
import json
import signal
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import click
from ZEO.ClientStorage import ClientStorage

from benchmarks.course import Course, say
from benchmarks.databases import Sample
from benchmarks.packing import PACKER
from benchmarks.runs import fresh
from benchmarks.tables import table, times

CLIENTS = Path(__file__).with_name("clients.py")
SETTLE_S = 1.0  # before measuring: the clients' first calls are slower
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
class Call:
    """A commit or a load: when, on the machine's clock, and how long, in seconds."""

    start_s: float
    length_s: float


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
        _figures_text(before),
        _figures_text(during),
        times(*p99),
        f"{median(run.pack_s for run in runs):.1f}",
    ]


def _figures_text(runs: Sequence[tuple[float, float, float]]) -> str:
    """Return the medians of the runs, but the longest of all."""
    middles, p99s, longests = zip(*runs, strict=True)
    return f"{median(middles):.2f} / {median(p99s):.1f} / {max(longests):.1f}"


def figures(calls: Sequence[Call]) -> tuple[float, float, float]:
    """Return the median, the 99th percentile and the maximum of the lengths, in ms."""
    lengths = sorted(1000 * call.length_s for call in calls)
    if not lengths:
        return 0.0, 0.0, 0.0
    return lengths[len(lengths) // 2], lengths[len(lengths) * 99 // 100], lengths[-1]


def _run(sample: Sample, packer: str, load: Load, directory: Path) -> dict[str, Seen]:
    """Serve SAMPLE, let the clients work, pack; return what commits and loads saw."""
    with ExitStack() as stack:
        path = stack.enter_context(fresh(sample, directory, is_written=True))
        sockets = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        address = str(Path(sockets, "zeo"))  # a socket's path must be short
        stack.enter_context(_server(path, address, packer))
        storage = ClientStorage(address, wait_timeout=60, cache_size=1 << 16)
        stack.callback(storage.close)
        with ExitStack() as clients:
            writers = [
                clients.enter_context(_client("write", address, load.commits_per_s, path, ()))
                for _ in range(load.writers)
            ]
            readers = [
                clients.enter_context(
                    _client("read", address, load.loads_per_s, path, sample.documents)
                )
                for _ in range(load.readers)
            ]
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
            calls = [call for samples in paths for call in _read(samples)]
            seen[kind] = Seen(
                before=[c for c in calls if start <= c.start_s and _end(c) < packed],
                during=[c for c in calls if packed <= _end(c) and c.start_s < end],
                pack_s=end - packed,
            )
            _tell_worst(kind, seen[kind], packed)
    return seen


def _end(call: Call) -> float:
    return call.start_s + call.length_s


def _tell_worst(kind: str, seen: Seen, packed: float) -> None:
    worst = sorted(seen.during, key=lambda call: call.length_s)[-WORST:]
    say(
        f"  pack {seen.pack_s:.2f} s; longest {kind}, ms (at s): "
        + ", ".join(f"{1000 * c.length_s:.1f} ({c.start_s - packed:.2f})" for c in reversed(worst))
    )


@contextmanager
def _server(path: Path, address: str, packer: str) -> Iterator[None]:
    blobs = path.parent / "blobs"
    conf = path.with_name("zeo.conf")
    conf.write_text(
        CONF.format(
            address=address,
            path=path,
            blobs=f"blob-dir {blobs}" if blobs.exists() else "",
            packer=f"packer {PACKER}" if packer == "ours" else "",
        )
    )
    log = path.with_name("zeo.log")
    with log.open("w") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "ZEO.runzeo", "-C", str(conf)],
            stdout=output,
            stderr=output,
            preexec_fn=_die_with_parent,
        )
        try:
            while not Path(address).exists():
                if server.poll() is not None:
                    raise click.ClickException(f"the ZEO server ended: {log.read_text()}")
                time.sleep(0.05)
            yield
        finally:
            server.terminate()
            server.wait(timeout=60)


def _die_with_parent() -> None:
    prctl_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(prctl_set_pdeathsig, signal.SIGTERM)


@contextmanager
def _client(
    kind: str, address: str, rate: float, path: Path, oids: Sequence[int]
) -> Iterator[Path]:
    """Run a client; yield the file that has its samples once this context is left."""
    taken = Path(tempfile.mkstemp(prefix="samples-", dir=path.parent)[1])
    command = [sys.executable, str(CLIENTS), kind, address, str(rate), str(taken)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdin is not None and client.stdout is not None
        client.stdin.write(json.dumps(oids) + "\n")
        client.stdin.flush()
        if client.stdout.readline() != "ready\n":
            raise click.ClickException(f"a client could not {kind}")
        yield taken
    if client.returncode:
        raise click.ClickException(f"a client that should {kind}: exit status {client.returncode}")


def _read(path: Path) -> list[Call]:
    values = array("d", path.read_bytes())
    return [Call(*pair) for pair in zip(values[::2], values[1::2], strict=True)]
