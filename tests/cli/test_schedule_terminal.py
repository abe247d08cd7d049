"""What ``zmount schedule`` and ``zmount apply`` show on a terminal of 80 columns."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Callable

from deployments import Deployment

CONF = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage content/>
<schedule every-night>
  job command
  command echo it takes more than what is left of a line to say what this job does; exit 27
  at 15 3 * * sun
</schedule>
"""


def shown(deployment: Deployment, *arguments: str) -> list[str]:
    """Return the lines that the command writes to a terminal, without colours."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {key: text for key, text in os.environ.items() if key != "COLUMNS"}
    process = subprocess.Popen(
        [sys.executable, "-m", "zmount", "-f", str(deployment.conf), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={**environment, "TERM": "xterm", "NO_COLOR": "1"},
    )
    os.close(theirs)
    printed = b""
    try:
        while part := os.read(ours, 65536):
            printed += part
    except OSError:  # the other side is closed
        pass
    finally:
        process.wait()
        os.close(ours)
    return re.sub(r"\x1b\[\d+m", "", printed.decode()).splitlines()


def test_a_job_is_one_line(deploy: Callable[[str], Deployment]) -> None:
    lines = shown(deploy(CONF), "schedule")

    heading, job = lines
    assert heading.split() == ["job", "state", "next", "last", "result", "took", "does"]
    assert job.startswith("every-night") and job.rstrip().endswith("…")
    assert len(job) <= 80


def test_a_command_to_be_copied_has_no_line_ends_in_it(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(CONF)
    (deployment.directory / "etc" / "crontab").unlink()

    lines = shown(deployment, "apply")

    (command,) = [line for line in lines if "this lets them begin: " in line]
    assert command.endswith("| crontab -")
