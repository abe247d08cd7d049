"""Windows of time: when on a day, and on which days, something may begin."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from zmount.topology.cron import WEEKDAYS

DAY = 24 * 60  # minutes
_HOURS = re.compile(r"([0-9]{1,2}):([0-9]{2})-([0-9]{1,2}):([0-9]{2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """From ``start`` to before ``end``, minutes of a day, on ``weekdays`` (0 is Sunday).

    Where ``end`` is not after ``start`` it is the next day's, and the weekday is the one
    on which the window opens. ``text`` is as it was said.
    """

    text: str
    start: int
    end: int
    weekdays: frozenset[int]

    def holds(self, moment: datetime) -> bool:
        """True if MOMENT, as the clock on the wall shows it, is in the window."""
        return self.holds_minute(moment.isoweekday() % 7, 60 * moment.hour + moment.minute)

    def holds_minute(self, weekday: int, minute: int) -> bool:
        """True if MINUTE of a WEEKDAY is in the window."""
        if self.start < self.end:
            return weekday in self.weekdays and self.start <= minute < self.end
        if minute >= self.start:
            return weekday in self.weekdays
        return minute < self.end and (weekday - 1) % 7 in self.weekdays


def parse_window(text: str) -> Window:
    """Return the window that TEXT says: 01:00-05:00, 22:00-04:00 mon-fri, 00:00-24:00 sat sun.

    :raises ValueError: it says none; with the reason
    """
    said = text.lower().split()
    hours = _HOURS.fullmatch(said[0]) if said else None
    if hours is None:
        raise ValueError("hours are expected, as 01:00-05:00, and days after them, as sat sun")
    start, end = _minute(hours[1], hours[2]), _minute(hours[3], hours[4])
    if start in (end, DAY):
        raise ValueError("it is empty; the whole day is 00:00-24:00")
    days = [day for word in said[1:] for day in _weekdays(word)]
    return Window(
        text=" ".join(said), start=start, end=end, weekdays=frozenset(days or range(len(WEEKDAYS)))
    )


def _minute(hour: str, minute: str) -> int:
    total = 60 * int(hour) + int(minute)
    if int(minute) > 59 or total > DAY:
        raise ValueError(f"{hour}:{minute} is no time of a day")
    return total


def _weekdays(word: str) -> list[int]:
    first, dash, last = word.partition("-")
    if first not in WEEKDAYS or (dash and last not in WEEKDAYS):
        raise ValueError(f"{word} is no day; sun to sat are, and mon-fri")
    low, high = WEEKDAYS.index(first), WEEKDAYS.index(last or first)
    return [day % 7 for day in range(low, (high if high >= low else high + 7) + 1)]
