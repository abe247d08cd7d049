"""Who may do something with a stage: one at a time swaps, packs or cleans up.

A clean-up gives way: it is asked for often, takes long where there are many blobs,
and can begin anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

CLEANED_UP, PACKED = "cleaned up", "packed"


class GivesWay(Exception):
    """Somebody else wants to do something with the stage."""


class Taken(Exception):
    """What is being done takes too long to wait for it; ``str`` of this says what it is."""


class Turns:
    """The turns of one stage. ``doing`` is what is done: "swapped", "packed", "cleaned up"."""

    def __init__(self) -> None:
        self._changes = threading.Condition()
        self._doing = ""
        self._waiting = 0  # of those that a clean-up gives way to

    @contextmanager
    def turn(self, doing: str, patience_s: float | None = None) -> Iterator[None]:
        """Be the one who does something, which is called DOING.

        :param patience_s: how long to wait for a pack to end, and not at all for a swap;
            None: for anything. A clean-up is always waited for
        :raises Taken: by somebody who is not waited for any longer
        """
        with self._changes:
            self._waiting += 1
            try:
                if not self._wait(patience_s):
                    raise Taken(self._doing)
                self._doing = doing
            finally:
                self._waiting -= 1
                self._changes.notify_all()
        try:
            yield
        finally:
            self._leave()

    def _wait(self, patience_s: float | None) -> bool:
        """Wait for the turn; return False if that takes too long."""
        start = time.monotonic()
        while self._doing:
            left_s = None
            if self._doing != CLEANED_UP and patience_s is not None:
                left_s = start + patience_s - time.monotonic()
                if self._doing != PACKED or left_s <= 0:
                    return False
            self._changes.wait(left_s)
        return True

    def clean_up(self, work: Callable[[Callable[[], None]], None]) -> None:
        """Let WORK clean up when nobody wants to do anything else, until it comes to its end.

        It gets a function to call now and then: if somebody waits, that raises GivesWay.
        """
        while True:
            with self._cleaning(), suppress(GivesWay):
                work(self._give_way)
                return

    @contextmanager
    def _cleaning(self) -> Iterator[None]:
        with self._changes:
            self._changes.wait_for(lambda: not self._doing and not self._waiting)
            self._doing = CLEANED_UP
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._changes:
            self._doing = ""
            self._changes.notify_all()

    def _give_way(self) -> None:
        if self._waiting:
            raise GivesWay
