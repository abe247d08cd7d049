"""Working side by side: in each lane one thing after the other."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from zmount.effects.clock import ticks

J = TypeVar("J")
R = TypeVar("R")

TICK_S = 0.2


class Lanes(Generic[J, R]):
    """Does WORK for each job of LANES, a thread for each lane.

    The threads do not keep the program from ending: a work that waits for
    another process may wait for ever.
    """

    def __init__(self, lanes: Iterable[Iterable[J]], work: Callable[[J], R]) -> None:
        self._results: queue.SimpleQueue[R | BaseException] = queue.SimpleQueue()
        self._ends = threading.Event()
        self._work = work
        self._threads = [
            threading.Thread(target=self._do, args=(tuple(jobs),), daemon=True) for jobs in lanes
        ]
        for thread in self._threads:
            thread.start()

    def results(self, tick: Callable[[], None]) -> Iterator[R]:
        """Yield each result as it comes; call TICK some times a second meanwhile.

        What a work raises is raised here.
        """
        while True:
            works = any(thread.is_alive() for thread in self._threads)
            try:
                yield self._got(self._results.get(timeout=TICK_S if works else 0))
            except queue.Empty:
                if not works:
                    return
                tick()

    def begin_no_more(self) -> None:
        """Let each lane end with the job that it is at."""
        self._ends.set()

    def last_results(self, timeout_s: float) -> Iterator[R]:
        """Yield the results of the jobs at work that come within TIMEOUT_S."""
        for _ in ticks(timeout_s):
            if not any(thread.is_alive() for thread in self._threads):
                break
        while not self._results.empty():
            yield self._got(self._results.get())

    def _do(self, jobs: tuple[J, ...]) -> None:
        for job in jobs:
            if self._ends.is_set():
                return
            try:
                self._results.put(self._work(job))
            except BaseException as why:  # for the thread that waits to raise
                self._results.put(why)
                return

    def _got(self, result: R | BaseException) -> R:
        if isinstance(result, BaseException):
            raise result
        return result
