"""Who reads a stage's content in a thread of his own, and is not to lose it by a swap."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

STILL_READING_S = 30.0  # so long a log of transactions that is being read keeps a content open


class Readers:
    """The readers of all contents that a stage has or had."""

    def __init__(self) -> None:
        self._changes = threading.Condition()
        self._reading: Counter[int] = Counter()  # by the content's id

    @contextmanager
    def reading(self, content_now: Callable[[], Any]) -> Iterator[Any]:
        """Yield what CONTENT_NOW returns, which stays open meanwhile."""
        with self._changes:
            content = content_now()
            self._reading[id(content)] += 1
        try:
            yield content
        finally:
            with self._changes:
                self._reading[id(content)] -= 1
                self._changes.notify_all()

    def none_begins(self) -> AbstractContextManager[Any]:
        """Let nobody begin to read while another content takes the place of the one now."""
        return self._changes

    def wait_for_end(self, content: Any) -> None:
        """Wait until nobody reads CONTENT any more; not for ever."""
        with self._changes:
            self._changes.wait_for(lambda: not self._reading[id(content)], STILL_READING_S)
            del self._reading[id(content)]
