"""The report of ZEO's bug says what is so, and the proposed fix mends it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "zeo-lock-bug.md"
GUARD = "from zmount.server.zeo_guards import _guard_locks\n_guard_locks()\n"


def reproduction() -> str:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    return str(code)


# in the server's own process, for a fix of ours to reach it
IN_PROCESS = ("threaded=False", "threaded=True")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (reproduction(), "the second client hangs"),
        (reproduction().replace(*IN_PROCESS), "the second client hangs"),
        (GUARD + reproduction().replace(*IN_PROCESS), "the second client has committed"),
    ],
    ids=["as it stands", "in one process", "with the fix"],
)
def test_the_reproduction(code: str, said: str, tmp_path: Path):
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=tmp_path
    )
    assert said in found.stdout, found.stderr
