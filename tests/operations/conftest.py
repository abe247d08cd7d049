"""Fixtures for tests of operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from deployments import Deployment
from swapping import CONF, PRODUCTION, Swaps

Deploy = Callable[[str], Deployment]


@pytest.fixture
def make(deploy: Deploy) -> Iterator[Callable[[str], Swaps]]:
    made: list[Swaps] = []

    def make(text: str) -> Swaps:
        made.append(Swaps(deploy(text)))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def swaps(make: Callable[[str], Swaps]) -> Swaps:
    """One ZEO server, up; production holds something."""
    swaps = make(CONF)
    swaps.write(PRODUCTION, number=1)
    swaps.start()
    return swaps
