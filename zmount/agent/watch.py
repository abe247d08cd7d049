"""What lets a process be watched from outside, whatever its threads do.

- ``zmount-requests`` in the clienthome tells what each thread works on
- SIGUSR1 lets the process write the stack of each thread to ``zmount-stacks``
  there; it is C that writes, so a thread that never comes back cannot keep it
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
from pathlib import Path
from typing import Any

from zmount.agent.requests import FILE_NAME, note_in

STACKS = "zmount-stacks"
LARGEST = 1 << 20  # bytes of stacks from earlier days that are kept

log = logging.getLogger(__name__)

_stacks: Any = None  # open as long as the process lives


def started(event: Any) -> None:
    """Begin, when Zope is about to serve; what cannot be is told in the log."""
    from App.config import getConfiguration

    home = Path(getConfiguration().clienthome)
    for begin in (_note_requests, _dump_stacks):
        try:
            begin(home)
        except (OSError, ValueError) as why:
            log.warning("zmount's agent does without: %s", why)


def _note_requests(home: Path) -> None:
    note_in(home / FILE_NAME)


def _dump_stacks(home: Path) -> None:
    global _stacks
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(home / STACKS, flags, 0o600)
    if os.fstat(descriptor).st_size > LARGEST:
        os.ftruncate(descriptor, 0)
    _stacks = os.fdopen(descriptor, "wb", buffering=0)
    # a signal that another handler waits for is passed on to it
    is_taken = signal.getsignal(signal.SIGUSR1) not in (signal.SIG_DFL, signal.SIG_IGN, None)
    faulthandler.register(signal.SIGUSR1, file=_stacks, all_threads=True, chain=is_taken)
