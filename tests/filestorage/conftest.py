"""Fixtures for the FileStorage engine: most of its tests run with both cores."""

from __future__ import annotations

import os

import pytest

from zmount.filestorage.cores import NAMES, VARIABLE, Cores, load


@pytest.fixture(params=["plain", "compiled"])
def cores(request: pytest.FixtureRequest) -> Cores:
    """The plain, then the compiled cores; a test module's ``CORES`` names those it needs.

    Without a compiled core the tests fail, unless ``ZMOUNT_CORE=plain`` admits it.
    """
    if request.param == "compiled" and os.environ.get(VARIABLE) == "plain":
        pytest.skip(f"{VARIABLE}=plain")
    return load(request.param, *getattr(request.module, "CORES", NAMES))
