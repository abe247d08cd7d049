"""``scripts/bench health``: what a look at a whole deployment takes.

The deployment is real: zmount applies and starts it, ZEO servers and Zopes. Looks at it
with every server up take turns with looks while half of the ZEO servers say nothing
(SIGSTOP), which is worse than to be dead: a connection to them is made, and never answered.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import click

from benchmarks.course import Course, say
from benchmarks.tables import table

INSTANCES = 4
HEAD = (
    "deployment",
    "ZEO servers",
    "whole command, s",
    "the look, s",
    "CPU s",
    "readings",
    "state",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A deployment of so many ``servers`` and ``storages``, spread evenly."""

    servers: int
    storages: int

    def __str__(self) -> str:
        servers = "1 ZEO server" if self.servers == 1 else f"{self.servers} ZEO servers"
        return f"{self.storages} storages on {servers}, {INSTANCES} instances"


@dataclass(slots=True)
class Looks:
    """What looks took: seconds of the whole command, of the look alone, of CPU."""

    command_s: list[float] = field(default_factory=list)
    look_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    readings: int = 0
    state: str = ""


def health_table(shapes: Sequence[Shape], course: Course) -> str:
    """Return the table of looks at deployments of each of SHAPES."""
    rows: list[list[str]] = []
    for shape in shapes:
        with _deployment(shape) as conf:
            for what, looks in course.run(lambda conf=conf: _looks(conf, course)).items():
                rows.append(_row(shape, what, looks))
    return table(HEAD, rows, 2)


def _row(shape: Shape, what: str, looks: Looks) -> list[str]:
    return [
        str(shape),
        what,
        f"{median(looks.command_s):.2f}",
        f"{median(looks.look_s):.2f}",
        f"{median(looks.cpu_s):.2f}",
        f"{looks.readings:,}",
        looks.state,
    ]


def _looks(conf: Path, course: Course) -> dict[str, Looks]:
    """Look with all servers up, and with half of them silent, in turn."""
    status = json.loads(_zmount(conf, "--json", "status"))
    pids = [each["pid"] for each in status["processes"] if each["name"].startswith("zeo")]
    silent = pids[::2] if len(pids) > 1 else []
    found = {"all up": Looks()}
    if silent:
        found[f"{len(silent)} of {len(pids)} silent"] = Looks()
    for number in range(course.rounds):
        for what, looks in found.items():
            stopped = [] if what == "all up" else silent
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            try:
                _look(conf, looks)
            finally:
                for pid in stopped:
                    os.kill(pid, signal.SIGCONT)
            say(f"round {number + 1}: {what}: {looks.command_s[-1]:.2f} s")
    return found


def _look(conf: Path, looks: Looks) -> None:
    before, start_s = os.times(), time.perf_counter()
    said = json.loads(_zmount(conf, "--json", "health", status=(0, 1, 2)))
    looks.command_s.append(time.perf_counter() - start_s)
    after = os.times()
    used = (
        after.children_user - before.children_user,
        after.children_system - before.children_system,
    )
    looks.cpu_s.append(sum(used))
    looks.look_s.append(said["seconds"])
    looks.readings, looks.state = len(said["readings"]), said["state"]


@contextmanager
def _deployment(shape: Shape) -> Iterator[Path]:
    """Yield the topology of a deployment of SHAPE that runs."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        conf = Path(directory, "zmount.conf")
        conf.write_text(_topology(shape, Path(directory)))
        try:
            say(f"apply and start {shape}")
            _zmount(conf, "apply")
            _zmount(conf, "start")
            yield conf
        finally:
            _zmount(conf, "stop", status=None)


def _topology(shape: Shape, directory: Path) -> str:
    lines = [f"directory {directory}", f"venv {sys.prefix}", "<host here>", "</host>"]
    for number in range(shape.servers):
        lines += [f"<zeo zeo{number}>", f"  address {directory}/z{number}", "</zeo>"]
    names = [f"s{number:03}" for number in range(shape.storages)]
    for number, name in enumerate(names):
        lines += [f"<storage {name}>", f"  server zeo{number % shape.servers}", "</storage>"]
    for number in range(INSTANCES):
        lines += [f"<instance i{number}>", f"  http-address {_free_port()}"]
        for name in names:
            lines += [f"  <mount {name}>", f"    mount-point /sites/{name}", "  </mount>"]
        lines.append("</instance>")
    return "\n".join(lines) + "\n"


def _zmount(conf: Path, *arguments: str, status: tuple[int, ...] | None = (0,)) -> str:
    command = [sys.executable, "-m", "zmount", "-f", str(conf), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if status is not None and done.returncode not in status:
        raise click.ClickException(f"{arguments}: {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
