"""How many requests wait for a thread, as waitress notes in the event log."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import PurePosixPath

from zmount.effects.log_tail import size_bytes, text_since

RECENT_S = 60
_TAIL = 64 * 1024
_LINE = re.compile(
    r"^(\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d).*waitress\.queue.*depth is (\d+)", re.MULTILINE
)


def queue_depth(path: PurePosixPath | None, at: float, *, since: float) -> int | None:
    """Return the last depth that the log PATH tells of the minute before AT, after SINCE.

    Both are seconds since the epoch. None: it tells none, so nothing waited.
    """
    if path is None:
        return None
    text = text_since(path, max(0, size_bytes(path) - _TAIL))
    for moment, depth in reversed(_LINE.findall(text)):
        seconds = dt.datetime.fromisoformat(moment).timestamp()
        return int(depth) if max(at - RECENT_S, since) <= seconds + 1 else None
    return None
