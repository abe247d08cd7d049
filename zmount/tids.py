"""Transaction ids as times.

The format is ZODB's (``persistent/timestamp.py``): the first four bytes count
minutes in a calendar where every month has 31 days, from 1900 on; the last four
are a fraction of a minute in units of 60 s / 2**32.
"""

from __future__ import annotations

import datetime as dt

LENGTH = 8  # bytes
_SECONDS = "%Y-%m-%d %H:%M:%S"


def tid_time(tid: bytes) -> dt.datetime | None:
    """Return the UTC time that TID stands for; None for one that is no time.

    Truncated to microseconds, so two tids may give one time: compare tids, never times.

    :raises ValueError: TID is not 8 bytes
    """
    if len(tid) != LENGTH:
        raise ValueError(f"a tid has {LENGTH} bytes, not {len(tid)}")
    rest, minute = divmod(int.from_bytes(tid[:4], "big"), 60)
    rest, hour = divmod(rest, 24)
    rest, day = divmod(rest, 31)
    years, month = divmod(rest, 12)
    microseconds = int.from_bytes(tid[4:], "big") * 60_000_000 >> 32
    try:
        found = dt.datetime(1900 + years, month + 1, day + 1, hour, minute, tzinfo=dt.timezone.utc)
    except ValueError:
        return None  # the 31st of a shorter month
    return found + dt.timedelta(microseconds=microseconds)


def tid_text(tid: bytes) -> str:
    """Return the local time of TID to the second, or "never" for no transaction at all."""
    if not any(tid):
        return "never"
    found = tid_time(tid)
    if found is None:
        return f"tid 0x{tid.hex()}"
    return found.astimezone().strftime(_SECONDS)


def tid_moment(tid: bytes) -> str | None:
    """Return the local time of TID with its offset, as JSON has it; None for no transaction."""
    found = tid_time(tid) if any(tid) else None
    return None if found is None else found.astimezone().isoformat(" ", "seconds")


def moment(seconds: float) -> str | None:
    """Return the local time of SECONDS since 1970 in the same form; None for 0."""
    if not seconds:
        return None
    return dt.datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")


def time_text(seconds: float) -> str:
    """Return the local time of SECONDS since 1970 in the same form."""
    return dt.datetime.fromtimestamp(seconds).strftime(_SECONDS)
