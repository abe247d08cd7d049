"""Fixtures for tests with real servers."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deployments import Deployment

# A shell's background job ignores SIGINT, and so would every Zope that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def _own_temporary_files() -> Iterator[None]:
    """Remove at the end what this process and its children left where temporary files go.

    Blobs that were never committed, for one, and what a process had that was killed.
    """
    before = tempfile.gettempdir()
    directory = Path(tempfile.mkdtemp(prefix="z"))
    directory.chmod(0o711)  # some tests run servers as another user
    os.environ["TMPDIR"] = tempfile.tempdir = str(directory)
    yield
    os.environ["TMPDIR"] = tempfile.tempdir = before
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def short_directory() -> Iterator[Path]:
    """A directory whose path leaves room for the names of unix sockets."""
    directory = Path(tempfile.mkdtemp(prefix="zm-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def deploy(short_directory: Path) -> Iterator[Callable[[str], Deployment]]:
    """A function that makes a :class:`Deployment` of a topology's text, files written."""
    made: list[Deployment] = []

    def deploy(text: str) -> Deployment:
        directory = short_directory / str(len(made))
        directory.mkdir()
        made.append(Deployment(directory, text))
        made[-1].write_files()
        return made[-1]

    yield deploy
    for deployment in made:
        deployment.end_all()
