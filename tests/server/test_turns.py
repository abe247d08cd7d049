"""Who waits for whom, and who gives way."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from deployments import wait_until
from test_stage_in_flight import InThread

from zmount.server.turns import PACKED, Taken, Turns


def test_a_swap_does_not_wait_for_a_swap():
    turns = Turns()
    with turns.turn("swapped", 10), pytest.raises(Taken, match="swapped"), turns.turn("x", 10):
        pass


def test_a_swap_waits_for_a_pack_as_long_as_told():
    turns = Turns()
    with turns.turn(PACKED):
        start = time.monotonic()
        with pytest.raises(Taken, match="packed"), turns.turn("swapped", 0.2):
            pass
        assert 0.15 < time.monotonic() - start < 5


def test_a_pack_waits_for_a_swap():
    turns = Turns()
    done: list[str] = []

    def pack() -> None:
        with turns.turn(PACKED):
            done.append("packed")

    with turns.turn("swapped", 0):
        waiting = InThread(pack)
        time.sleep(0.05)
        done.append("swapped")
    waiting.result()
    assert done == ["swapped", "packed"]


def test_a_clean_up_gives_way_however_short_the_patience_and_begins_anew():
    turns = Turns()
    begun: list[int] = []
    swapped: list[int] = []

    def work(give_way: Callable[[], None]) -> None:
        begun.append(len(swapped))
        for _ in range(200):
            if swapped:
                return
            time.sleep(0.01)
            give_way()

    cleaning = InThread(lambda: turns.clean_up(work))
    wait_until(lambda: bool(begun), "it has begun")
    with turns.turn("swapped", 0):
        swapped.append(1)
        time.sleep(0.1)
        assert begun == [0], "it waits until the other one is ready"
    cleaning.result()
    assert begun == [0, 1]


def test_what_fails_leaves_the_turn_to_the_next():
    turns = Turns()
    with pytest.raises(OSError), turns.turn("swapped", 0):
        raise OSError

    def fail(give_way: Callable[[], None]) -> None:
        raise ValueError

    with pytest.raises(ValueError):
        turns.clean_up(fail)
    with turns.turn("swapped", 0):
        pass
