"""Processes that do slow work, and give way or fail."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
from deployments import wait_until

from zmount.server.slow_work import ChildFailed, in_child, paced
from zmount.server.turns import GivesWay


def slow(path: str) -> int:
    """What a child does: write its process id, and sleep."""
    Path(path).write_text(str(os.getpid()))
    time.sleep(100)
    return 1


def nice() -> int:
    return os.nice(0)


def fails() -> int:
    raise ValueError("it does not work")


def dies() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


def test_it_is_nice_and_returns_a_count():
    assert in_child(__name__, "nice") == min(os.nice(0) + 10, 19)


def test_why_it_failed_is_said():
    with pytest.raises(ChildFailed, match="ValueError: it does not work"):
        in_child(__name__, "fails")


def test_who_killed_it_is_said():
    with pytest.raises(ChildFailed, match="ended by SIGKILL"):
        in_child(__name__, "dies")


def test_it_is_ended_for_who_is_given_way_to(tmp_path: Path):
    noted = tmp_path / "pid"

    def give_way() -> None:
        if noted.exists() and noted.read_text():
            raise GivesWay

    with pytest.raises(GivesWay):
        in_child(__name__, "slow", str(noted), give_way=give_way)
    pid = int(noted.read_text())
    wait_until(lambda: not Path("/proc", str(pid)).exists(), "it is gone")


def test_pauses_give_way():
    done = []

    def give_way() -> None:
        if len(done) == 100:
            raise GivesWay

    with pytest.raises(GivesWay):
        for number in paced(range(1000), give_way):
            done.append(number)
    assert len(done) == 100
