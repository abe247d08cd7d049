"""Why a server did not start, read off what it wrote before it died."""

from __future__ import annotations

import os
import re
from itertools import takewhile
from pathlib import Path, PurePosixPath

from zmount.effects.clock import now
from zmount.effects.log_tail import last_lines, size_bytes, text_since
from zmount.effects.process_manager import Written
from zmount.effects.process_table import Owner, is_alive, listener, owner
from zmount.topology.processes import Process

_LOCKED = re.compile(r"Couldn't lock '([^']+)'")
_IN_USE = re.compile(r"address already in use", re.IGNORECASE)
# what ends a traceback: the first line after it that is not indented; a dotted class name at
# a line's begin; and what runzeo says of a configuration that it does not understand
_RAISED = re.compile(
    r"^Traceback \(most recent call last\):\n(?:[ \t].*\n)+(?P<last>\S.*)$"
    r"|^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Exit)\b.*$|^Error: .*$",
    re.MULTILINE,
)
_OUR_SIGNAL = "KeyboardInterrupt"  # what ends the next one that its manager has started meanwhile


def before_start(process: Process) -> Written:
    """Return where the logs of PROCESS end now."""
    return Written(
        at=now(),
        transcript=size_bytes(process.transcript),
        log=size_bytes(process.log.path) if process.log.path is not None else 0,
    )


def diagnose(process: Process, printed: str, before: Written) -> tuple[str, tuple[str, ...]]:
    """Return the reason that PROCESS gave for not running, and its last log lines.

    The reason is "" where it gave none that zmount understands. PRINTED is what
    it wrote to its output; BEFORE says which part of its log is about this start.
    """
    logged = text_since(process.log.path, before.log) if process.log.path is not None else ""
    if locked := _LOCKED.search(f"{printed}\n{logged}"):
        return _lock_reason(PurePosixPath(locked[1])), ()
    if _IN_USE.search(f"{printed}\n{logged}"):
        return in_use(process), ()
    for text in (printed, logged):
        starts = [match.start("last" if match["last"] else 0) for match in _RAISED.finditer(text)]
        reasons = [start for start in starts if not text.startswith(_OUR_SIGNAL, start)]
        if starts:
            reason, *rest = last_lines(text[(reasons or starts)[-1] :], 100)
            return reason, tuple(takewhile(_belongs_to_it, rest[:5]))
    return "", last_lines(printed) or last_lines(logged)


def _belongs_to_it(line: str) -> bool:
    """True if LINE, after a reason, still explains it."""
    return not line.startswith(("For help", "Traceback (most recent call last)"))


def in_use(process: Process, by: Owner | None = None) -> str:
    """Return that the address of PROCESS is in use, and BY whom."""
    by = by or listener(process.address)
    kind = "the socket" if process.address.socket is not None else "the port of"
    return f"{kind} {process.address} is in use" + (f" by {by}" if by is not None else "")


def locked_by(lock: PurePosixPath) -> Owner | None:
    """Return the living process that wrote its pid into the lock file LOCK."""
    try:
        words = Path(lock).read_text().split()
    except (OSError, UnicodeDecodeError):
        return None
    if not words or not words[0].isdigit() or int(words[0]) == os.getpid():
        return None
    pid = int(words[0])
    return owner(pid) if is_alive(pid) else None


def _lock_reason(lock: PurePosixPath) -> str:
    by = locked_by(lock)
    database = lock.with_suffix("") if lock.suffix == ".lock" else lock
    return f"{database} is locked by {by}" if by is not None else f"{database} is locked"
