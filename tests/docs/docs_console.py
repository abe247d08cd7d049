"""Runs the ```console blocks of a page for real, and compares what they print.

A line that begins with ``$ `` is a command, what follows is its output, and a
line of three dots stands for any lines. A ```zmount block is written as
zmount.conf, or as the file named behind it. Numbers may differ: they are times,
sizes and process ids.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from deployments import free_port

PORTS = ("8100", "8080", "8081", "8082", "8083", "8090")
BLOCK = re.compile(r"^```(\w+)[ ]*(\S*)\n(.*?)^```$", re.M | re.S)


@dataclass
class Reader:
    """Somebody who follows a page in DIRECTORY, which the page calls ``home``."""

    directory: Path
    home: str = "/srv/zope"
    ports: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.directory / "venv").symlink_to(sys.prefix)
        self.ports = {port: str(free_port()) for port in PORTS}

    def follow(self, page: str) -> None:
        """Do all that PAGE says.

        :raises AssertionError: a command prints something else
        """
        for language, name, text in BLOCK.findall(page):
            if language == "zmount" or (language == "conf" and name):
                path = self.directory / (name or "zmount.conf")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self.here(text))
            elif language == "console":
                for command, expected in commands(text):
                    self.run(command, expected)

    def run(self, command: str, expected: str) -> None:
        """Run COMMAND and compare its output with EXPECTED."""
        done = subprocess.run(
            ["bash", "-c", self.here(command)],
            cwd=self.directory,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        printed = done.stdout.replace(str(self.directory), self.home)
        assert matches(printed, expected), (
            f"$ {command}\n{printed[-3000:]}\n--- expected\n{expected}"
        )

    def here(self, text: str) -> str:
        """Return TEXT with this reader's directory and ports."""
        text = text.replace(self.home, str(self.directory))
        return re.sub(
            r"(?<![\d.])(" + "|".join(PORTS) + r")(?!\d)", lambda m: self.ports[m[1]], text
        )

    def environment(self) -> dict[str, str]:
        """Return the variables of the reader's shell."""
        path = f"{sys.prefix}/bin:{os.environ['PATH']}"
        kept = {key: os.environ[key] for key in ("HOME", "LANG", "LC_ALL") if key in os.environ}
        return {**kept, "PATH": path, "ZOPE_PASSWORD": "sample", "LC_ALL": "C.UTF-8"}


def commands(block: str) -> list[tuple[str, str]]:
    """Return the commands of BLOCK, each with the output that stands under it."""
    found: list[tuple[str, str]] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        else:
            assert found, f"output without a command: {line}"
            command, output = found[-1]
            found[-1] = (command, f"{output}{line}\n")
    return found


def matches(printed: str, expected: str) -> bool:
    """True if PRINTED is EXPECTED but for numbers, blanks and what dots stand for."""
    lines = [
        "(.*\n)*?" if line.strip() == "..." else pattern(line) + "\n"
        for line in expected.strip().splitlines()
    ]
    text = "".join(f"{loose(line)}\n" for line in printed.strip().splitlines())
    return re.fullmatch("".join(lines), text) is not None


def pattern(line: str) -> str:
    """Return the expression for one LINE; three dots in it stand for anything."""
    return ".*".join(re.escape(loose(part)) for part in line.split("..."))


def loose(line: str) -> str:
    """Return LINE without its numbers and its alignment; a number alone must be right."""
    if line.strip().isdigit():
        return line.strip()
    return " ".join(re.sub(r"\d+(?:[.:-]\d+)*", "#", line).split())
