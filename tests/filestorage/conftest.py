"""Fixtures for the FileStorage engine: most of its tests run with both cores."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest
from plone import PLONE, Plone

from zmount.filestorage.cores import NAMES, VARIABLE, Cores, load


@pytest.fixture(params=["plain", "compiled"])
def cores(request: pytest.FixtureRequest) -> Cores:
    """The plain, then the compiled cores; a test module's ``CORES`` names those it needs.

    Without a compiled core the tests fail, unless ``ZMOUNT_CORE=plain`` admits it.
    """
    if request.param == "compiled" and os.environ.get(VARIABLE) == "plain":
        pytest.skip(f"{VARIABLE}=plain")
    return load(request.param, *getattr(request.module, "CORES", NAMES))


@pytest.fixture
def plone_small(tmp_path: Path) -> Plone:
    """A fresh copy of the FileStorage and the blobs of a small Plone site."""
    directory = tmp_path / "plone-small"
    with tarfile.open(PLONE) as archive:
        archive.extractall(directory, filter="fully_trusted")  # it is ours
    return Plone(data_fs=directory / "filestorage" / "Prod.fs", blob_dir=directory / "blobs")
