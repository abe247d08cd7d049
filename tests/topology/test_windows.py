"""Windows of time."""

from __future__ import annotations

from datetime import datetime

import pytest

from zmount.topology.windows import parse_window

SATURDAY, SUNDAY, MONDAY = 4, 5, 6  # of January 2025


def is_open(text: str, day: int, hour: int, minute: int = 0) -> bool:
    return parse_window(text).holds(datetime(2025, 1, day, hour, minute))


def test_a_window_opens_and_closes_to_the_minute():
    assert not is_open("01:00-05:00", MONDAY, 0, 59)
    assert is_open("01:00-05:00", MONDAY, 1, 0)
    assert is_open("01:00-05:00", MONDAY, 4, 59)
    assert not is_open("01:00-05:00", MONDAY, 5, 0)


def test_over_midnight_the_day_is_that_of_the_opening():
    assert is_open("22:00-04:00 sat", SATURDAY, 23)
    assert is_open("22:00-04:00 sat", SUNDAY, 3)
    assert not is_open("22:00-04:00 sat", SATURDAY, 3)
    assert not is_open("22:00-04:00 sat", SUNDAY, 23)


def test_days_are_named_singly_or_in_ranges_over_the_end_of_the_week():
    assert parse_window("00:00-24:00 fri-mon wed").weekdays == {5, 6, 0, 1, 3}
    assert is_open("00:00-24:00 sun", SUNDAY, 23, 59)
    assert not is_open("00:00-24:00 sun", MONDAY, 0)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "hours are expected"),
        ("1-5", "hours are expected"),
        ("01:00-05:60", "no time of a day"),
        ("01:00-24:01", "no time of a day"),
        ("03:00-03:00", "empty"),
        ("24:00-03:00", "empty"),
        ("01:00-05:00 sonntag", "no day"),
        ("01:00-05:00 mon-", "no day"),
    ],
)
def test_what_is_no_window_is_refused(text: str, reason: str):
    with pytest.raises(ValueError, match=reason):
        parse_window(text)
