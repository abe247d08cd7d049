"""Signals: ending a process that no manager keeps, and being ended."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from zmount.effects.clock import ticks
from zmount.effects.process_table import is_alive
from zmount.errors import ProcessFailed


def end(pid: int, signal_name: str, timeout_s: float) -> bool:
    """Send SIGNAL_NAME (as TERM) to process PID; True if it is gone within TIMEOUT_S.

    :raises ProcessFailed: it is another user's
    """
    try:
        os.kill(pid, signal.Signals[f"SIG{signal_name}"])
    except ProcessLookupError:
        return True
    except PermissionError:
        raise ProcessFailed(f"pid {pid} is another user's", hint="as root") from None
    return any(not is_alive(pid) for _ in ticks(timeout_s))


@contextmanager
def terminable() -> Iterator[None]:
    """Let a SIGTERM raise KeyboardInterrupt, as Ctrl-C does, until the block ends."""
    if threading.current_thread() is not threading.main_thread():
        yield  # Python hands signals to the main thread only
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
