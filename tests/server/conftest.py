"""Fixtures for tests of stages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from stages import Stages


@pytest.fixture
def stages(short_directory: Path) -> Iterator[Stages]:
    """Makes servers and clients in a directory, and ends them all."""
    made = Stages(short_directory)
    yield made
    made.end()
