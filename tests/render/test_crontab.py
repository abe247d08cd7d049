"""The crontab of schedules."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from topologies import file_of, files_of, topology_of

from zmount.render.activation import activation

AROUND = """
<zeo zeo/>
<storage content/>
"""
JOBS = """
<schedule pack-all>
  job pack
  at 15 3 * * sun
  jitter 10m
</schedule>
<schedule up>
  job start
  at @reboot
</schedule>
"""


def entries(text: str) -> list[str]:
    """Return the lines of a crontab that begin something."""
    return [line for line in text.splitlines() if line and line[0] in "0123456789*@"]


def test_each_entry_is_one_zmount_run(tmp_path: Path):
    text = file_of(tmp_path, AROUND + JOBS, "cron").text

    assert [line.rpartition("/bin/")[2] for line in entries(text)] == [
        f"zmount -f {tmp_path}/zmount.conf run --cron pack-all",
        f"zmount -f {tmp_path}/zmount.conf run --cron up",
    ]
    assert entries(text)[0].startswith("15 3 * * 0 /")
    assert entries(text)[1].startswith("@reboot /")


def test_where_processes_have_a_user_there_is_a_column_for_root(tmp_path: Path):
    text = file_of(tmp_path, "user zope\n" + AROUND + JOBS, "cron").text

    assert entries(text)[0].startswith("15 3 * * 0 root /")
    assert entries(text)[1].startswith("@reboot root /")


def test_a_percent_sign_and_a_blank_in_a_path_reach_the_shell(tmp_path: Path):
    directory = tmp_path / "a b%c"
    directory.mkdir()
    line = entries(file_of(directory, "manager supervisor\n" + AROUND + JOBS, "cron").text)[0]

    assert f"'{tmp_path}/a b\\%c/zmount.conf'" in line


def test_without_schedules_there_is_no_crontab(tmp_path: Path):
    assert not [file for file in files_of(tmp_path, AROUND) if file.reader == "cron"]


def test_the_crontab_goes_where_the_topology_says(tmp_path: Path):
    text = "user zope\ncrontab /etc/cron.d/zmount\n" + AROUND + JOBS

    assert str(file_of(tmp_path, text, "cron").path) == "/etc/cron.d/zmount"
    topology = topology_of(tmp_path, text)
    assert activation(topology, topology.hosts[0]) == ""


def test_a_crontab_with_a_column_for_the_user_is_installed_for_the_system(tmp_path: Path):
    topology = topology_of(tmp_path, "user zope\n" + AROUND + JOBS)

    assert activation(topology, topology.hosts[0]) == (
        f"install -m 644 {tmp_path}/etc/crontab /etc/cron.d/zmount"
    )


def test_activating_a_users_crontab_keeps_what_else_is_in_it(tmp_path: Path):
    topology = topology_of(tmp_path, AROUND + JOBS)
    file = file_of(tmp_path, AROUND + JOBS, "cron")
    Path(file.path).parent.mkdir()
    Path(file.path).write_text(file.text)
    # stands for cron's own program: what it keeps is a file
    program, kept = tmp_path / "bin" / "crontab", tmp_path / "kept"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nif [ "$1" = -l ]; then cat {kept}; else cat > {kept}.new; '
        f"mv {kept}.new {kept}; fi\n"
    )
    program.chmod(0o755)
    kept.write_text("0 0 * * * backup\n")

    for _ in range(2):
        subprocess.run(
            ["sh", "-c", activation(topology, topology.hosts[0])],
            check=True,
            env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"},
        )

    assert kept.read_text() == "0 0 * * * backup\n" + file.text
