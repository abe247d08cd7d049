"""Which command does a scheduled job: one that zmount knows, with every option."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from topologies import topology_of

from zmount.cli.app import main
from zmount.plan.job_words import job_line, job_words

AROUND = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<site a.org/>
<site b.org/>
<instance dev>
  kind development
  http-address 8081
</instance>
<instance pub>
  http-address 8080
</instance>
"""
JOBS = [
    ("pack", "", "pack --all"),
    ("pack", "of pub/a.org\noptions --days 3 --no-gc", "pack --days 3 --no-gc pub/a.org"),
    ("verify", "", "verify --all"),
    ("health", "options --only clock", "health --only clock"),
    ("health", "of pub", "health pub"),
    ("restart", "", "restart --rolling"),
    ("restart", "of pub\noptions --drain 5", "restart --rolling --drain 5 pub"),
    ("rotate-logs", "options --keep 9 --size 1MB", "rotate-logs --keep 9 --size 1MB"),
    ("swap-stage", "options --drop-changes", "swap-stage --drop-changes --all"),
    ("swap-stage", "of b.org a.org", "swap-stage b.org a.org"),
    ("start", "", "start"),
]


@pytest.mark.parametrize(("job", "more", "words"), JOBS)
def test_a_job_is_a_command_that_zmount_understands(
    job: str, more: str, words: str, tmp_path: Path
):
    text = f"<schedule night>\njob {job}\nat @daily\n{more}\n</schedule>\n"
    topology = topology_of(tmp_path, AROUND + text)
    schedule, host = topology.schedule("night"), topology.hosts[0]

    name, *arguments = job_words(schedule, host)

    assert " ".join([name, *arguments]) == words
    assert job_line(schedule, host) == f"zmount {words}"
    command = main.get_command(click.Context(main), name)
    assert command is not None
    command.make_context(name, arguments)  # parses them


def test_a_command_of_ones_own_is_told_as_it_was_said(tmp_path: Path):
    text = "<schedule night>\njob command\nat @daily\ncommand a | b 'c d'\n</schedule>\n"
    topology = topology_of(tmp_path, AROUND + text)

    assert job_line(topology.schedule("night"), topology.hosts[0]) == "a | b 'c d'"
