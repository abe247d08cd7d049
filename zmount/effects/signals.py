"""Ending a process that no manager keeps."""

from __future__ import annotations

import os
import signal

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
