"""``scripts/bench`` runs and prints its table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parent.parent.parent / "scripts" / "bench"


def test_check_render_prints_a_row_for_each_command_and_size():
    done = subprocess.run(
        [
            sys.executable,
            str(BENCH),
            "check-render",
            "--rounds",
            "1",
            "--sites",
            "1",
            "--sites",
            "2",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    rows = [line.split("|")[1:5] for line in done.stdout.splitlines() if line.startswith("| ")]
    assert [[cell.strip() for cell in row] for row in rows[1:]] == [
        ["check", "1", "2", "4"],
        ["check", "2", "4", "8"],
        ["render", "1", "2", "4"],
        ["render", "2", "4", "8"],
    ]
