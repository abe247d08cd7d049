"""ZConfig datatypes of ``schema.xml``: they judge a text, and most keep it.

What zmount hands on stays as it was written, so most of these return their
argument. Each raises ValueError with a reason that can stand in a message.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ZConfig.datatypes import stock_datatypes

from zmount.topology.health import Limits, Unit, parse_limits, parse_number
from zmount.topology.options import Secret


def _judged_by(name: str, expected: str) -> Callable[[str], str]:
    convert = stock_datatypes[name]

    def judge(text: str) -> str:
        try:
            value = convert(text)
        except ValueError:
            raise ValueError(f"{expected} is expected") from None
        if not isinstance(value, bool) and not 0 <= value < float("inf"):
            raise ValueError(f"{expected} is expected, not less than 0 nor endless")
        return text

    judge.__doc__ = f"Return TEXT if it is {expected}."
    return judge


boolean = _judged_by("boolean", "on or off")
integer = _judged_by("integer", "a whole number")
number = _judged_by("float", "a number")
byte_size = _judged_by("byte-size", "a size, as 512KB, 20MB or 1GB,")
interval = _judged_by("time-interval", "a time, as 30s, 5m, 2h or 1d,")


LONGEST = 16_000  # characters; a search path may have some thousands


def text(value: str) -> str:
    """Return VALUE if it is there at all, and no longer than a value can be."""
    if not value.strip():
        raise ValueError("a value is expected")
    if len(value) > LONGEST:
        raise ValueError(f"at most {LONGEST} characters are expected")
    return value


def secret(value: str) -> Secret:
    """Return VALUE so that no message or listing shows it."""
    return Secret(text(value))


def names(value: str) -> tuple[str, ...]:
    """Return the words of VALUE."""
    return tuple(text(value).split())


def count(value: str) -> int:
    """Return VALUE as a number of at least 1."""
    if not value.isascii() or not value.isdigit() or not 0 < int(value) < 10_000:
        raise ValueError("a number from 1 to 9999 is expected")
    return int(value)


def identifier(value: str) -> str:
    """Return VALUE if it is made of letters, digits, - and _ only."""
    if not value.isascii() or not value.replace("-", "").replace("_", "").isalnum():
        raise ValueError("letters, digits, - and _ are expected")
    return value


def case_kept(key: str) -> str:
    """Return KEY as it is, where ZConfig would lower it."""
    return key


def waitress_key(key: str) -> str:
    """Return KEY as waitress spells it."""
    return key.lower().replace("-", "_")


def boolean_or_unset(value: str) -> str:
    """Return VALUE if it is on, off or unset."""
    return "unset" if value.lower() == "unset" else boolean(value)


def _one_of(*choices: str) -> Callable[[str], str]:
    def judge(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError(f"one of {', '.join(choices)} is expected")
        return value.lower()

    judge.__doc__ = f"Return VALUE, lower case, if it is one of {', '.join(choices)}."
    return judge


kind = _one_of("development", "public", "admin")
manager = _one_of("zdaemon", "systemd", "supervisor")
references = _one_of("any", "none")
stage_mode = _one_of("link", "copy", "none")
scheduler = _one_of("crontab", "systemd")
log_level = _one_of(
    "debug", "info", "warn", "warning", "error", "critical", "all", "blather", "trace", "notset"
)


def _limits(unit: Unit) -> Callable[[str], Limits]:
    def judge(value: str) -> Limits:
        return parse_limits(text(value), unit)

    judge.__doc__ = "Return the limits, of warning and critical, that VALUE says."
    return judge


def short_time(value: str) -> float:
    """Return VALUE in seconds if it is a time of 50 milliseconds to one minute."""
    seconds = parse_number(value, "seconds")
    if not 0.05 <= seconds <= 60:
        raise ValueError("a time from 50ms to 1m is expected")
    return seconds


limits_seconds = _limits("seconds")
limits_bytes = _limits("bytes")
limits_percent = _limits("percent")
limits_count = _limits("count")


FOR_EVER = 10**9  # seconds


def if_running(value: str) -> int:
    """Return how many seconds VALUE says to wait; 0: it says to leave."""
    word, _, limit = value.lower().strip().partition(" ")
    if word == "wait":
        return int(stock_datatypes["time-interval"](interval(limit))) if limit else FOR_EVER
    if word != "leave" or limit:
        raise ValueError("leave, wait, or wait with a limit, as wait 30m, is expected")
    return 0


def raw(section: Any) -> Any:
    """Mark a section type whose content is kept as it was written."""
    return section
