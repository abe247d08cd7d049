"""Lanes: one after the other in each, side by side with the others."""

from __future__ import annotations

import threading
import time

import pytest

from zmount.effects.lanes import Lanes


def test_each_job_of_each_lane_is_done_once():
    lanes = Lanes([[1, 2], [], [3]], lambda number: number * 10)

    assert sorted(lanes.results(lambda: None)) == [10, 20, 30]


def test_lanes_go_side_by_side_and_the_jobs_of_one_after_each_other():
    meeting = threading.Barrier(2, timeout=10)
    order = []

    def work(name: str) -> str:
        if name in ("a1", "b1"):
            meeting.wait()  # breaks unless both lanes are at work
        order.append(name)
        return name

    found = set(Lanes([["a1", "a2"], ["b1"]], work).results(lambda: None))

    assert found == {"a1", "a2", "b1"}
    assert order.index("a1") < order.index("a2")


def test_who_waits_is_called_meanwhile():
    ticked = threading.Event()
    lanes = Lanes([[1]], lambda _: ticked.wait(10))

    assert list(lanes.results(ticked.set)) == [True]


def test_a_bug_in_a_job_is_raised_where_results_are_waited_for():
    def work(_: int) -> None:
        raise LookupError("a bug")

    with pytest.raises(LookupError, match="a bug"):
        list(Lanes([[1], [2]], work).results(lambda: None))


def test_after_the_end_no_job_begins_and_those_at_work_may_finish():
    begun, go = threading.Event(), threading.Event()
    done = []

    def work(number: int) -> int:
        begun.set()
        go.wait(10)
        done.append(number)
        return number

    lanes = Lanes([[1, 2]], work)
    begun.wait(10)
    lanes.begin_no_more()
    go.set()

    assert list(lanes.last_results(timeout_s=10)) == [1]
    assert done == [1]


def test_a_job_that_does_not_end_is_not_waited_for():
    never = threading.Event()
    lanes = Lanes([[1]], lambda _: never.wait(60))
    before = time.monotonic()

    assert list(lanes.last_results(timeout_s=0.2)) == []
    assert time.monotonic() - before < 5
    never.set()
