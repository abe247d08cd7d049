"""Whether somebody still reads what this process writes."""

from __future__ import annotations

import select
import sys


def reader_is_gone() -> bool:
    """True if standard output is a pipe, or a socket, that nobody reads any more."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return False
    look = select.poll()
    look.register(descriptor, 0)  # an error needs no asking for
    return any(events & (select.POLLERR | select.POLLNVAL) for _, events in look.poll(0))
