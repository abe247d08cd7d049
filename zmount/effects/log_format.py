"""How the entries of a log begin: read from the format that its writer was given.

Formats are those of Python's logging, in its classic style. What begins an entry is the line
with its time; lines before it, as ZConfig's dashes, are ornaments. Times without a zone are
the machine's own.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field
from functools import lru_cache

_FIELD = re.compile(r"%%|%\((\w+)\)[-#0 +]*\d*(?:\.\d+)?[sdfr]")
_DIRECTIVE = re.compile(r"%(.)")
# strptime's, and what they look like
_SHORT = {"T": "%H:%M:%S", "F": "%Y-%m-%d", "D": "%m/%d/%y", "R": "%H:%M", "e": "%d"}
_LOOKS = {
    **dict.fromkeys("mdHIMSy", r"\d\d?"),
    **dict.fromkeys("bBaAp", r"[^\W\d_]+\.?"),
    "Y": r"\d{4}",
    "j": r"\d{1,3}",
    "f": r"\d{1,6}",
    "z": r"[+-]\d{2}:?\d{2}",
    "%": "%",
}
_APACHE = re.compile(r"[^\[\n]{0,300}\[(?P<time>\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]")
_APACHE_DATE = "%d/%b/%Y:%H:%M:%S %z"
_ERRORS = frozenset("ERROR CRITICAL FATAL PANIC ERRO CRIT".split())  # the last are supervisor's


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """The time at which an entry was written, in seconds since the epoch, and its level."""

    time: float
    level: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFormat:
    """How to find entries in a log.

    ``first`` matches the line with an entry's time; None: no line has one. ``ornaments``
    are the lines before it. ``is_loose``: a line without time that is not indented is an
    entry of its own, as of what a process printed; else it belongs to the entry above.
    """

    first: re.Pattern[str] | None
    date_format: str = ""
    ornaments: tuple[str, ...] = ()
    is_loose: bool = False
    _names: frozenset[str] = field(default=frozenset(), repr=False)

    def start(self, line: str) -> Start | None:
        """Return when and how the entry was written that LINE begins; None if it begins none."""
        match = self.first.match(line) if self.first is not None else None
        if match is None:
            return None
        time = _epoch(match["time"], self.date_format)
        if time is None:
            return None
        if "msecs" in self._names and (msecs := match["msecs"]):
            time += float(msecs) / 1000
        return Start(time=time, level=(match["level"] or "") if "level" in self._names else "")


def is_error(level: str) -> bool:
    """True if LEVEL is that of an error, or of worse."""
    return level.upper() in _ERRORS


def log_format(format_: str, date_format: str, *, is_output: bool = False) -> LogFormat:
    """Return how entries written in FORMAT_, with times as DATE_FORMAT, are found.

    One that has no time in it is taken for a log of requests as Paste's translogger writes
    it, if its lines look like that. IS_OUTPUT: among the entries may be anything else.
    """
    lines = format_.split("\n")
    at = next((number for number, line in enumerate(lines) if "%(asctime)" in line), None)
    if at is None:
        return LogFormat(
            first=_APACHE,
            date_format=_APACHE_DATE,
            is_loose=True,
        )
    looks = _looks(date_format)
    if looks is None or any(_FIELD.search(line) for line in lines[:at]):
        return LogFormat(first=None, is_loose=True)
    first = re.compile(_pattern(lines[at], looks))
    return LogFormat(
        first=first,
        date_format=_long(date_format),
        ornaments=tuple(lines[:at]),
        is_loose=is_output,
        _names=frozenset(first.groupindex),
    )


def _pattern(line: str, looks: str) -> str:
    """Return a pattern for what LINE of a format becomes, with times that look like LOOKS."""
    parts: list[str] = []
    seen: set[str] = set()
    at = 0
    for found in _FIELD.finditer(line):
        parts.append(re.escape(line[at : found.start()]))
        at = found.end()
        name = found[1]
        if name is None:
            parts.append("%")
        elif name in seen or name not in ("asctime", "levelname", "msecs"):
            parts.append(".*?")
        elif name == "asctime":
            # without a date format, logging adds milliseconds after a comma
            comma = r"(?:,(?P<msecs>\d{3}))?" if "%(msecs)" not in line else ""
            parts.append(f"(?P<time>{looks}){comma}")
        elif name == "levelname":
            parts.append(r"\s*(?P<level>[A-Za-z]\w*(?: \d+)?)\s*")
        else:
            parts.append(r"(?P<msecs>\d+(?:\.\d+)?)")
        seen.add(name or "%")
    parts.append(re.escape(line[at:]))
    return "".join(parts)


def _looks(date_format: str) -> str | None:
    """Return a pattern for times as DATE_FORMAT; None if strptime could not read them back."""
    said = _long(date_format)
    directives = _DIRECTIVE.findall(said)
    if any(each not in _LOOKS for each in directives):
        return None
    if not {"H", "M"} <= set(directives) or not {"d", "j"} & set(directives):
        return None  # no moment
    if not {"Y", "y"} & set(directives):
        return None
    parts = re.split(r"%(.)", said)
    return "".join(
        _LOOKS[part] if number % 2 else re.escape(part) for number, part in enumerate(parts)
    )


def _long(date_format: str) -> str:
    return _DIRECTIVE.sub(lambda match: _SHORT.get(match[1], match[0]), date_format)


@lru_cache(maxsize=4096)
def _epoch(text: str, date_format: str) -> float | None:
    """Return the moment that TEXT says; None if there is none of that name."""
    try:
        return dt.datetime.strptime(text, date_format).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
