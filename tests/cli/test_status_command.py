"""What ``zmount status`` prints on terminals; ``tests/operations/test_status.py`` has servers."""

from __future__ import annotations

import fcntl
import os
import pty
import socket
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

CONF = """
directory {directory}
<zeo zeo-of-the-long-name>
  address var/zeo.sock
</zeo>
<site a-rather-long.example.org/>
<instance public-side>
  replicas 2
  http-address 127.0.0.1:1
</instance>
"""
NAMES = ("zeo-of-the-long-name", "public-side-1", "pub/a-rather-long.example.org", "127.0.0.1:2")


def on_terminal(conf: Path, columns: int) -> list[str]:
    """Return the lines that a terminal of so many COLUMNS gets."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    with subprocess.Popen(
        [sys.executable, "-m", "zmount", "-f", str(conf), "status"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"},
    ) as child:
        os.close(theirs)
        text = b""
        try:
            while block := os.read(ours, 65536):
                text += block
        except OSError:  # the other end is closed
            pass
        child.wait(60)
    os.close(ours)
    return text.decode().replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()


@pytest.mark.parametrize("columns", [200, 100, 80, 40])
def test_no_name_and_no_address_is_folded(short_directory: Path, columns: int) -> None:
    conf = short_directory / "zmount.conf"
    conf.write_text(CONF.format(directory=short_directory))

    lines = on_terminal(conf, columns)

    for name in (*NAMES, f"{short_directory}/zeo-of-the-long-name/var/zeo.sock"):
        assert any(name in line for line in lines), "\n".join(lines)


def test_a_remark_wraps_beside_them(short_directory: Path) -> None:
    conf = short_directory / "zmount.conf"
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        text = CONF.format(directory=short_directory).replace("var/zeo.sock", address)
        conf.write_text(text)

        lines = on_terminal(conf, 100)

    (start,) = (number for number, line in enumerate(lines) if address in line)
    (stop,) = (number for number, line in enumerate(lines) if line.startswith("public-side-1"))
    beside, *below = lines[start:stop]
    said = " ".join([beside.partition(address)[2], *below]).split()
    assert max(map(len, lines)) <= 100
    assert below and all(line.startswith(" " * len("zeo-of-the-long-name")) for line in below)
    assert " ".join(said).endswith("is at its address")
