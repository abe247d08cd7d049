"""Small topologies, written to a file and judged as ``zmount check`` does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from zmount.operations.check import check_file
from zmount.topology.load import load
from zmount.topology.topology import Topology

Write = Callable[..., Path]
Finds = Callable[..., None]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A function that writes a topology's text and returns its file."""

    def write(text: str, name: str = "zmount.conf") -> Path:
        path = tmp_path / name
        path.write_text(dedent(text), encoding="utf-8")
        return path

    return write


@pytest.fixture
def topology(write: Write) -> Callable[[str], Topology]:
    """A function that returns the topology of a text."""
    return lambda text: load(write(text))


@pytest.fixture
def finds(write: Write) -> Finds:
    """A function that asserts what is found in a text: pairs of rule and part of the line.

    Whoever says ``finds(text)`` says that the text is clean. Line "" is the file.
    """

    def finds(text: str, *expected: tuple[str, str]) -> None:
        path = write(text)
        found = check_file(path).findings
        lines = ["", *path.read_text(encoding="utf-8").splitlines()]
        missing = list(expected)
        for finding in found:
            said = lines[finding.place.line]
            match = next(
                (one for one in missing if one[0] == finding.rule and one[1] in said), None
            )
            assert match is not None, f"not expected, at {said!r}: {finding}"
            missing.remove(match)
        assert not missing, f"not found: {missing}; found {[str(one) for one in found]}"

    return finds
