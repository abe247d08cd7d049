"""Times in cron's syntax."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from zmount.topology.cron import NeverComes, in_ranges, parse_cron

BERLIN = ZoneInfo("Europe/Berlin")


def following(text: str, moment: datetime, number: int = 3) -> list[str]:
    """Return the times after MOMENT, as texts."""
    times = islice(parse_cron(text).after(moment), number)
    return [f"{time:%Y-%m-%d %H:%M}" for time in times]


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("15 3 * * sun", "15 3 * * 0"),
        ("15 3 * * 7", "15 3 * * 0"),
        ("*/5 * * * *", "*/5 * * * *"),
        ("0-10/5,30 1,2,3 1 JAN-mar mon-fri", "0,5,10,30 1-3 1 1-3 1-5"),
        ("@daily", "0 0 * * *"),
        ("  @weekly  ", "0 0 * * 0"),
    ],
)
def test_every_spelling_becomes_what_every_cron_reads(text: str, fields: str):
    assert parse_cron(text).fields == fields


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("99 * * * *", "minute 99"),
        ("* 24 * * *", "hour 24"),
        ("* * 0 * *", "day of the month 0"),
        ("* * * 13 *", "month 13"),
        ("* * * * 8", "day of the week 8"),
        ("* * * * *-5", "day of the week"),
        ("*,5 * * * *", "minute"),
        ("5/15 * * * *", "minute 5/15"),  # crons differ on it
        ("*/0 * * * *", "minute"),
        ("10-5 * * * *", "minute"),
        ("0 0 L * *", "day of the month l"),  # no cron knows it
        ("0 0 * * mon#2", "day of the week"),
        ("0 0 0 * * *", "five fields are expected, not 6"),
        ("0 3", "five fields are expected, not 2"),
        ("", "five fields"),
        ("@fortnightly", "knows no @fortnightly"),
        ("٣ * * * *", "minute"),
    ],
)
def test_what_no_cron_understands_is_refused_with_the_field(text: str, reason: str):
    with pytest.raises(ValueError, match=reason.replace("*", r"\*")):
        parse_cron(text)


def test_a_day_that_no_year_has_never_comes():
    with pytest.raises(NeverComes):
        parse_cron("0 0 30 2 *")


def test_a_leap_day_comes():
    assert following("0 0 29 2 *", datetime(2025, 1, 1), 1) == ["2028-02-29 00:00"]


def test_of_two_days_one_is_enough():
    assert parse_cron("0 0 13 * fri").is_either_day
    assert following("0 0 13 * fri", datetime(2025, 1, 1)) == [
        "2025-01-03 00:00",
        "2025-01-10 00:00",
        "2025-01-13 00:00",
    ]


def test_with_a_starred_day_both_must_be_right_as_in_cron():
    assert not parse_cron("0 0 */2 * fri").is_either_day
    assert following("0 0 */2 * fri", datetime(2025, 1, 1), 2) == [
        "2025-01-03 00:00",
        "2025-01-17 00:00",
    ]


def test_a_time_that_the_clock_skips_comes_right_after():
    assert following("30 2 * * *", datetime(2025, 3, 29, 12, tzinfo=BERLIN), 2) == [
        "2025-03-30 03:00",
        "2025-03-31 02:30",
    ]


def test_a_time_that_the_clock_shows_twice_comes_once():
    assert following("30 2 * * *", datetime(2025, 10, 25, 12, tzinfo=BERLIN), 2) == [
        "2025-10-26 02:30",
        "2025-10-27 02:30",
    ]


def test_the_time_before_is_found_too():
    before = next(parse_cron("15 3 * * *").before(datetime(2025, 1, 2, 3, 14)))

    assert before == datetime(2025, 1, 1, 3, 15)


def test_at_the_start_of_the_machine_comes_at_no_time():
    at = parse_cron("@reboot")

    assert at.is_at_boot
    assert list(at.after(datetime(2025, 1, 1))) == []


def test_runs_of_numbers_become_ranges():
    assert in_ranges((0, 1, 2, 5, 7, 8), "-") == "0-2,5,7,8"
