"""A real ``runzeo`` and clients of it in processes of their own, which measure their calls."""

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
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click

CLIENTS = Path(__file__).with_name("clients.py")
SETTLE_S = 1.0  # before measuring: the clients' first calls are slower


@dataclass(frozen=True, slots=True)
class Call:
    """A commit or a load: when, on the machine's clock, and how long, in seconds."""

    start_s: float
    length_s: float

    @property
    def end_s(self) -> float:
        """When it was over."""
        return self.start_s + self.length_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a client does: "write" or "read" in STORAGE, ``rate`` calls a second.

    ``oids`` are the objects that a reader loads.
    """

    kind: str
    rate: float
    storage: str = "1"
    oids: Sequence[int] = ()


@contextmanager
def server(conf: str, directory: Path, address: str) -> Iterator[None]:
    """Run the ZEO server that CONF configures, which listens at ADDRESS; files in DIRECTORY."""
    path, log = directory / "zeo.conf", directory / "zeo.log"
    path.write_text(conf)
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ZEO.runzeo", "-C", str(path)],
            stdout=output,
            stderr=output,
            preexec_fn=_die_with_parent,
        )
        try:
            while not Path(address).exists():
                if process.poll() is not None:
                    raise click.ClickException(f"the ZEO server ended: {log.read_text()}")
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait(timeout=60)


def _die_with_parent() -> None:
    prctl_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(prctl_set_pdeathsig, signal.SIGTERM)


@contextmanager
def client(work: Work, address: str, directory: Path) -> Iterator[Path]:
    """Let a client WORK; yield the file that has its samples once this context is left."""
    taken = Path(tempfile.mkstemp(prefix="samples-", dir=directory)[1])
    command = [sys.executable, str(CLIENTS), work.kind, address, work.storage, str(work.rate)]
    with subprocess.Popen(
        [*command, str(taken)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(work.oids) + "\n")
        process.stdin.flush()
        if process.stdout.readline() != "ready\n":
            raise click.ClickException(f"a client could not {work.kind}")
        yield taken
    if process.returncode:
        raise click.ClickException(
            f"a client that should {work.kind}: exit status {process.returncode}"
        )


def calls_of(samples: Path) -> list[Call]:
    """Return what a client has noted in the file SAMPLES."""
    values = array("d", samples.read_bytes())
    return [Call(*pair) for pair in zip(values[::2], values[1::2], strict=True)]


def figures(calls: Sequence[Call]) -> tuple[float, float, float]:
    """Return the median, the 99th percentile and the maximum of the lengths, in ms."""
    lengths = sorted(1000 * call.length_s for call in calls)
    if not lengths:
        return 0.0, 0.0, 0.0
    return lengths[len(lengths) // 2], lengths[len(lengths) * 99 // 100], lengths[-1]


def figures_text(runs: Sequence[tuple[float, float, float]]) -> str:
    """Return the medians of the runs' figures, but the longest of all."""
    middles, p99s, longests = zip(*runs, strict=True)
    return f"{median(middles):.2f} / {median(p99s):.1f} / {max(longests):.1f}"
