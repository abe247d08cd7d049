"""``zmount --help`` answers at once: it imports nothing that it does not show."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

HELP = [sys.executable, "-m", "zmount", "--help"]
CLICK = [sys.executable, "-c", "import click"]


def seconds(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, timeout=60)
    return time.perf_counter() - start


def test_help_costs_less_than_twice_the_import_of_click():
    for command in (HELP, CLICK):  # writes the .pyc files, fills the disk's cache
        seconds(command)

    # in turns, so that other work on the machine slows both alike
    ratios = [seconds(HELP) / seconds(CLICK) for _ in range(15)]

    assert median(ratios) < 2, ratios


def test_help_imports_no_database_and_no_tables():
    script = (
        "import runpy, sys; sys.argv = ['zmount', '--help']\n"
        "try: runpy.run_module('zmount', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )

    assert "Commands:" in done.stdout
    modules = done.stderr.split()
    imported = {name.split(".")[0] for name in modules}
    assert "click" in imported
    assert [name for name in modules if name.startswith("zmount.filestorage")] == []
    assert not imported & {"ZODB", "ZEO", "ZConfig", "rich", "drawsvg", "transaction", "zdaemon"}
