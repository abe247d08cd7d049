"""Times, sizes and numbers as sentences of ``zmount health`` say them."""

from __future__ import annotations

from rich.filesize import decimal

from zmount.effects.answers import SILENT

_STEPS = ((86400, "days"), (3600, "h"), (60, "min"))


def time_words(seconds: float) -> str:
    """Return SECONDS in the unit that suits them: 3 ms, 2.5 s, 10 min, 4 h, 12 days."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for length, unit in _STEPS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"


def size_words(size_bytes: float) -> str:
    """Return SIZE_BYTES as 1.2 GB."""
    return decimal(round(size_bytes))


def silence(detail: str, timeout_s: float) -> str:
    """Return DETAIL, why something did not answer, with how long it had for it."""
    return f"{detail} within {time_words(timeout_s)}" if detail == SILENT else detail
