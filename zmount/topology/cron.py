"""Times in cron's syntax: what they say, and the moments that they mean.

The five fields are Debian cron's, read by the library cronsim. What no cron knows
(seconds, L, #) is refused: the same line goes into crontabs and into systemd's timers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from typing import cast

from cronsim import CronSim, CronSimError

MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
WEEKDAYS = "sun mon tue wed thu fri sat".split()

AT_BOOT = "@reboot"
_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31"),
    ("month", "1 to 12, or jan to dec"),
    ("day of the week", "0 to 7 (0 and 7 are Sunday), or sun to sat"),
)
# cron's *, */N, or a list of numbers, names and ranges, each with a step
_STARRED = re.compile(r"\*(/[0-9]+)?")
_LISTED = re.compile(r"[0-9a-z]+(-[0-9a-z]+(/[0-9]+)?)?(,[0-9a-z]+(-[0-9a-z]+(/[0-9]+)?)?)*")
_NAMES = frozenset((*MONTHS, *WEEKDAYS))


class NeverComes(ValueError):
    """The syntax is right, but there is no such day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cron:
    """A time that comes again and again; ``text`` as it was said.

    The numbers of each field ascend; a week begins with Sunday, 0. ``is_either_day``:
    both the day of the month and that of the week are said, and one of them is enough,
    as cron has it. ``is_at_boot``: it comes when the machine starts, and all else is empty.
    """

    text: str
    minutes: tuple[int, ...] = ()
    hours: tuple[int, ...] = ()
    days: tuple[int, ...] = ()
    months: tuple[int, ...] = ()
    weekdays: tuple[int, ...] = ()
    is_either_day: bool = False
    is_at_boot: bool = False

    @property
    def fields(self) -> str:
        """The five fields, with nothing in them but stars, steps, numbers and ranges."""
        said = _NICKNAMES.get(self.text, self.text).split()
        numbers = (self.minutes, self.hours, self.days, self.months, self.weekdays)
        return " ".join(
            text if text.startswith("*") else in_ranges(each, "-")
            for text, each in zip(said, numbers, strict=True)
        )

    @property
    def minutes_of_the_day(self) -> tuple[int, ...]:
        """When on a day it comes, in minutes since midnight."""
        return tuple(60 * hour + minute for hour, minute in product(self.hours, self.minutes))

    @property
    def possible_weekdays(self) -> tuple[int, ...]:
        """The days of the week on which it can come in some year."""
        return tuple(range(7)) if self.is_either_day else self.weekdays

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the moments after MOMENT, in its time zone, for ever."""
        if not self.is_at_boot:
            yield from CronSim(self.fields, moment)

    def before(self, moment: datetime) -> Iterator[datetime]:
        """Yield the moments before MOMENT, in its time zone, the nearest first."""
        if not self.is_at_boot:
            yield from CronSim(self.fields, moment, reverse=True)


def parse_cron(text: str) -> Cron:
    """Return the time that TEXT says.

    :raises NeverComes: there is no such day in any year
    :raises ValueError: it is none; with the reason
    """
    text = " ".join(text.lower().split())
    if text == AT_BOOT:
        return Cron(text=text, is_at_boot=True)
    if text.startswith("@") and text not in _NICKNAMES:
        raise ValueError(f"cron knows no {text}; it knows {AT_BOOT}, {', '.join(_NICKNAMES)}")
    fields = _NICKNAMES.get(text, text).split()
    if len(fields) != len(_FIELDS):
        raise ValueError(
            f"five fields are expected, not {len(fields)}: minute, hour, day of the month, month "
            "and day of the week"
        )
    for number, field in enumerate(fields):
        _must_be_right(number, field)
    try:
        read = CronSim(" ".join(fields), datetime(2000, 1, 1))
    except CronSimError:  # each field is right by itself
        raise NeverComes("there is no such day in any year") from None
    return Cron(
        text=text,
        minutes=tuple(sorted(read.minutes)),
        hours=tuple(sorted(read.hours)),
        days=tuple(sorted(read.days)),
        months=tuple(sorted(read.months)),
        weekdays=tuple(sorted({day % 7 for day in cast("set[int]", read.weekdays)})),
        is_either_day=not read.day_and,
    )


def in_ranges(numbers: tuple[int, ...], dash: str) -> str:
    """Return NUMBERS, which ascend, as 1,3-7, with DASH between the ends of a range."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(
        str(low) if low == high else f"{low}{dash if high > low + 1 else ','}{high}"
        for low, high in runs
    )


def _must_be_right(number: int, field: str) -> None:
    """Refuse a FIELD that not every cron and every timer would take for the same.

    :raises ValueError: with what its numbers can be
    """
    name, range_ = _FIELDS[number]
    is_plain = set(re.findall("[a-z]+", field)) <= _NAMES
    if is_plain and (_STARRED.fullmatch(field) or _LISTED.fullmatch(field)):
        others = ["*"] * len(_FIELDS)
        others[number] = field
        try:
            CronSim(" ".join(others), datetime(2000, 1, 1))
        except CronSimError:
            pass
        else:
            return
    raise ValueError(
        f"the {name} {field} is none: * or */N, or numbers from {range_}, as 1,15 or 1-5"
    )
