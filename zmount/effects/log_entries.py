"""Lines of a log put together to entries: a traceback stays with the line that it belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from zmount.effects.log_format import LogFormat, Start, is_error

MOST_LINES = 5000  # of one entry; then it is cut, lest a log without times fill the memory
_TRACEBACK = "Traceback (most recent call last):"
_HAS_TRACEBACK = re.compile(r"[\s|+-]*(?:Exception Group )?Traceback \(most recent call last\):")
_BETWEEN = re.compile(
    r"During handling of the above exception|The above exception was the direct cause"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    """An entry of the log called ``name``, as it stands there, ornaments left out.

    ``time`` is in seconds since the epoch, and the neighbour's where the entry has none;
    ``is_timed`` says which. Text that is no UTF-8 has its bytes as ``\\xe4``.
    """

    name: str
    time: float
    lines: tuple[str, ...]
    level: str = ""
    is_timed: bool = True

    @property
    def is_error(self) -> bool:
        """True if its level is ERROR or above, or a traceback is in it."""
        return is_error(self.level) or has_traceback(self.lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEntry:
    """Lines that belong together; ``start`` is None where they have no time."""

    start: Start | None
    lines: tuple[str, ...]


def has_traceback(lines: Iterable[str]) -> bool:
    """True if a traceback is among LINES."""
    return any(_HAS_TRACEBACK.match(line) for line in lines)


class Grouping:
    """Takes the lines of one log, one after the other, and gives whole entries back."""

    def __init__(self, format_: LogFormat) -> None:
        self._format = format_
        self._lines: list[str] = []
        self._ornaments: list[str] = []
        self._start: Start | None = None
        self._is_in_traceback = False  # until the line that says what was raised

    def add(self, raw: bytes) -> Iterator[RawEntry]:
        """Take the line RAW; yield the entries that it shows to be complete."""
        line = raw.rstrip(b"\r\n").decode("utf-8", "backslashreplace")
        start = self._format.start(line)
        if start is None and self._is_ornament(line):
            self._ornaments.append(line)
            return
        ornaments, self._ornaments = self._ornaments, []
        if start is not None:
            yield from self._begin(line, start)
            return
        for each in (*ornaments, line):  # they were none: text that looks so
            if self._belongs(each) and len(self._lines) < MOST_LINES:
                self._lines.append(each)
            else:
                # a piece of an entry that is too long has its time
                yield from self._begin(each, None if self._format.is_loose else self._start)

    def flush(self) -> Iterator[RawEntry]:
        """Yield what there is so far, as an entry."""
        while self._lines and not self._lines[-1].strip():
            self._lines.pop()  # a blank line at its end says nothing
        lines, start = tuple(self._lines), self._start
        self._lines, self._start, self._is_in_traceback = [], None, False
        if lines:
            yield RawEntry(start=start, lines=lines)

    def _is_ornament(self, line: str) -> bool:
        at = len(self._ornaments)
        return at < len(self._format.ornaments) and line == self._format.ornaments[at]

    def _begin(self, line: str, start: Start | None) -> Iterator[RawEntry]:
        yield from self.flush()
        self._lines, self._start = [line], start
        self._is_in_traceback = line.startswith(_TRACEBACK)

    def _belongs(self, line: str) -> bool:
        """True if LINE, which has no time, belongs to the lines before it."""
        if not self._lines:
            return False
        if not self._format.is_loose:
            return True
        if self._is_in_traceback:
            # indented lines, then one that is not: what was raised
            self._is_in_traceback = not line or line[0].isspace()
            return True
        if line.startswith(_TRACEBACK):
            # one that is printed alone is an entry of its own
            self._is_in_traceback = _is_open(self._lines)
            return self._is_in_traceback
        return not line or line[0].isspace() or bool(_BETWEEN.match(line))


def _is_open(lines: list[str]) -> bool:
    """True if a traceback may follow LINES as a part of them."""
    if any(_BETWEEN.match(line) for line in lines[-3:]):
        return True
    return not any(line.startswith(_TRACEBACK) for line in lines)


def grouped(lines: Iterable[bytes], format_: LogFormat) -> Iterator[RawEntry]:
    """Yield the entries that LINES of a log are."""
    grouping = Grouping(format_)
    for line in lines:
        yield from grouping.add(line)
    yield from grouping.flush()
