"""Progress on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

TOLD = """
from zmount.cli.bars import bars

with bars() as tell:
    for number in range(100):
        for phase in ("structure", "records"):
            tell(f"storage{number}", phase, 1, 2)
"""


def test_a_hundred_things_one_after_the_other_take_one_line():
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", TOLD], stderr=theirs) as child:
        os.close(theirs)
        said = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            said += piece
    os.close(ours)

    assert child.returncode == 0
    assert b"storage" in said
    assert b"\x1b[1A" not in said.replace(b"\x1b[1A\x1b[2K", b"", 1)  # up: a second line
