"""``zmount --version`` says which version it is, and which core packs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import zmount
from zmount.filestorage.cores import choose


def version(core: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ZMOUNT_CORE": core}
    return subprocess.run(
        [sys.executable, "-m", "zmount", "--version"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("core", ["", "plain"])
def test_the_version_names_the_core_that_runs_and_nothing_else_is_said(core):
    done = version(core)

    assert done.stdout == f"zmount {zmount.__version__} ({choose(core)})\n"
    assert "core" in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


def test_a_core_that_cannot_run_is_one_clear_line():
    done = version("fast")

    assert done.returncode == 13
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "zmount: ZMOUNT_CORE is 'fast'; there are plain and compiled",
        "  try: unset ZMOUNT_CORE: the compiled core runs where it can",
    ]
