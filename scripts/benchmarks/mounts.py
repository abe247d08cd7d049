"""``scripts/bench mounts``: what it costs to know the state of a thousand mounts.

The root is a copy of a database with the mounts written into it, and is open for
writing while it is read. Each mounted storage has a file of its own, all are served by
one ``runzeo``: read from the files, as on the server's host, and through the server, as
on another host. Each look is a fresh process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import click

from benchmarks.course import Course, say
from benchmarks.databases import Sample
from benchmarks.runs import fresh
from benchmarks.tables import table
from benchmarks.zeo import server

MOUNTED = Path(__file__).with_name("mounted.py")
HEAD = (
    "root",
    "storages are read",
    "mounts, all ok",
    "state, s",
    "CPU s",
    "the whole command, s",
)
HERE, BY_ZEO = "from their files", "through ZEO"
HOSTS = """directory {directory}
venv {venv}
<host data>
  address 127.0.0.1
</host>
<host front>
  address 127.0.0.1
</host>
<zeo zeo>
  host {zeo_host}
  address {address}
</zeo>
<instance pub>
  host front
  http-address 8080
{mounts}</instance>
"""
LOOK = """
import json, sys, time
from zmount.operations.mounts import mounts
from zmount.topology.load import load
topology = load(sys.argv[1])
host = topology.host("front")
clock, cpu = time.perf_counter(), time.process_time()
seen = mounts(topology, host)
print(json.dumps({
    "seconds": time.perf_counter() - clock,
    "cpu_s": time.process_time() - cpu,
    "states": [mount.state for each in seen.instances for mount in each.mounts],
}))
"""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look took: seconds on the clock and of CPU without the start, and with it."""

    state_s: float
    cpu_s: float
    command_s: float
    mounts: int


def mounts_table(samples: Sequence[Sample], count: int, course: Course) -> str:
    """Return the table of looks at COUNT mounts in a root made of each of SAMPLES."""
    rows = []
    for sample in samples:
        looks = course.run(partial(_looks, sample, count, course))
        rows += [_row(sample, way, taken) for way, taken in looks.items()]
    return table(HEAD, rows, 2)


def _row(sample: Sample, way: str, looks: Sequence[Look]) -> list[str]:
    return [
        str(sample),
        way,
        f"{looks[0].mounts:,}",
        f"{median(look.state_s for look in looks):.2f}",
        f"{median(look.cpu_s for look in looks):.2f}",
        f"{median(look.command_s for look in looks):.2f}",
    ]


def _looks(sample: Sample, count: int, course: Course) -> dict[str, list[Look]]:
    looks: dict[str, list[Look]] = {HERE: [], BY_ZEO: []}
    with ExitStack() as stack:
        path = stack.enter_context(fresh(sample, course.directory, is_written=True))
        sockets = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        address, storages = str(Path(sockets, "zeo")), path.parent / "storages"
        names = [f"s{number:04}.org" for number in range(count)]
        stack.enter_context(_live_root(path, storages, names))
        conf = _zeo_conf(address, storages, names)
        stack.enter_context(server(conf, path.parent, address))
        confs = {way: _zmount_conf(way, path, address, names) for way in looks}
        for number in range(course.rounds):
            for way, taken in looks.items():
                taken.append(_look(confs[way], count))
                say(f"round {number + 1}: {sample.name}, {way}: {taken[-1].state_s:.3f} s")
    return looks


@contextmanager
def _live_root(path: Path, storages: Path, names: Sequence[str]) -> Iterator[None]:
    """Write mounts of NAMES into the root at PATH and keep it open, as its instance does."""
    command = [sys.executable, str(MOUNTED), str(path), str(storages)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(names) + "\n")
        process.stdin.flush()
        if process.stdout.readline() != "ready\n":
            raise click.ClickException("the root could not be written; it needs Zope")
        try:
            yield
        finally:
            process.stdin.close()


def _zeo_conf(address: str, storages: Path, names: Sequence[str]) -> str:
    sections = [f"<zeo>\n  address {address}\n</zeo>"]
    for name in names:
        path = storages / name / "Data.fs"
        sections.append(f"<filestorage pub/{name}>\n  path {path}\n</filestorage>")
    return "\n".join(sections) + "\n"


def _zmount_conf(way: str, root: Path, address: str, names: Sequence[str]) -> Path:
    """Write the topology in which the storages are on the instance's host, or on another."""
    directory = root.parent / ("here" if way == HERE else "there")
    var = directory / "pub_client" / "var"
    var.mkdir(parents=True)
    for name in ("Data.fs", "Data.fs.index"):
        os.link(root.with_name(name), var / name)
    text = HOSTS.format(
        directory=directory,
        venv=sys.prefix,
        zeo_host="front" if way == HERE else "data",
        address=address,
        mounts="".join(
            f"  <mount pub/{name}>\n    mount-point /home/{name}\n  </mount>\n" for name in names
        ),
    )
    text += "".join(
        f"<storage pub/{name}>\n  path {root.parent}/storages/{name}/Data.fs\n</storage>\n"
        for name in names
    )
    conf = directory / "zmount.conf"
    conf.write_text(text)
    return conf


def _look(conf: Path, count: int) -> Look:
    told = json.loads(_output([sys.executable, "-c", LOOK, str(conf)]))
    if told["states"] != ["ok"] * (count + 1):
        raise click.ClickException(f"not all is right: {sorted(set(told['states']))}")
    command = [sys.executable, "-m", "zmount", "-f", str(conf), "--host", "front", "mounts"]
    start_s = time.perf_counter()
    _output(command)
    command_s = time.perf_counter() - start_s
    return Look(told["seconds"], told["cpu_s"], command_s, len(told["states"]) - 1)


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"{command[1:4]}: {done.returncode}: {done.stderr[-500:]}")
    return done.stdout
