"""``scripts/bench check-render``: zmount's own pace on topologies of many sites.

Every measurement is a fresh process; the sizes take turns in each round, so
that what else the machine does falls on all of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click

HEAD = """directory /opt/zope/bench
venv /opt/zope/venv
user zope
<zeo zeo/>
<session/>
<instance dev>
  kind development
  http-address 8081
</instance>
<instance pub>
  http-address 8080
</instance>
<instance adm>
  kind admin
  sites all
  http-address 8082
</instance>
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process took: seconds on the clock, seconds of CPU, MB of memory at most."""

    clock_s: float
    cpu_s: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Job:
    """A command to measure, on a topology of so many sites."""

    name: str
    sites: int
    command: tuple[str, ...]


def topology_text(sites: int) -> str:
    """Return a topology of SITES sites: two storages and four mounts for each."""
    return HEAD + "".join(f"<site site-{number}.example.org/>\n" for number in range(sites))


def cost(command: tuple[str, ...]) -> Cost:
    """Run COMMAND in a process of its own, which must succeed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    clock = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{' '.join(command)}: exit status {process.returncode}")
    return Cost(clock, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def measured(jobs: list[Job], rounds: int) -> dict[Job, list[Cost]]:
    """Run all JOBS in turn, ROUNDS times."""
    costs: dict[Job, list[Cost]] = {job: [] for job in jobs}
    for number in range(rounds):
        for job in jobs:
            click.echo(f"round {number + 1}: {job.name}, {job.sites} sites", err=True)
            costs[job].append(cost(job.command))
    return costs


def _table(costs: dict[Job, list[Cost]], base: int) -> str:
    """Return the medians as Markdown; the last column compares with BASE sites."""

    def middle(job: Job, figure: Callable[[Cost], float]) -> float:
        return median(map(figure, costs[job]))

    bases = {job.name: middle(job, lambda one: one.cpu_s) for job in costs if job.sites == base}
    rows = [
        f"| command | sites | storages | mounts | seconds | CPU s | memory MB | "
        f"CPU per site, {base:,} sites = 1 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for job in costs:
        cpu = middle(job, lambda one: one.cpu_s)
        ratio = cpu / job.sites / (bases[job.name] / base)
        rows.append(
            f"| {job.name} | {job.sites:,} | {2 * job.sites:,} | {4 * job.sites:,} "
            f"| {middle(job, lambda one: one.clock_s):.2f} | {cpu:.2f} "
            f"| {middle(job, lambda one: one.memory_mb):.0f} | {ratio:.2f} |"
        )
    return "\n".join(rows)


def topology_table(sites: Sequence[int], rounds: int) -> str:
    """Return what zmount check and zmount render cost on topologies of so many SITES."""
    base = 1000 if 1000 in sites else sites[0]
    with tempfile.TemporaryDirectory() as directory:
        jobs = []
        for number in sites:
            conf = Path(directory, f"{number}.conf")
            conf.write_text(topology_text(number))
            zmount = (sys.executable, "-m", "zmount", "-f", str(conf))
            output = str(Path(directory, f"rendered-{number}"))
            jobs.append(Job("check", number, (*zmount, "check")))
            jobs.append(Job("render", number, (*zmount, "render", "--output", output)))
        jobs.sort(key=lambda job: job.name)
        return _table(measured(jobs, rounds), base)
