"""Entries are found by the format that their writer was given, and their tracebacks with them."""

from __future__ import annotations

import datetime as dt

import pytest

from zmount.effects.log_entries import LogEntry, grouped
from zmount.effects.log_format import log_format
from zmount.effects.log_reading import timed
from zmount.render.log_files import (
    SUPERVISOR_DATE_FORMAT,
    SUPERVISOR_FORMAT,
    ZCONFIG_DATE_FORMAT,
    ZCONFIG_FORMAT,
)
from zmount.topology.logs import ACCESS_FORMAT, DATE_FORMAT, EVENT_FORMAT

THREE = dt.datetime(2026, 11, 26, 3, 0, 0).timestamp()
TRACEBACK = """Traceback (most recent call last):
  File "a.py", line 1, in <module>
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "b.py", line 2, in f
ValueError: of two
lines"""


def entries(
    text: str, format_: str, date_format: str, *, is_output: bool = False
) -> list[LogEntry]:
    how = log_format(format_, date_format, is_output=is_output)
    lines = text.encode("utf-8", "surrogateescape").splitlines(keepends=True)
    return list(timed("x", grouped(lines, how), 7.0))


def test_zeos_entries_have_dashes_before_them_which_are_not_told() -> None:
    first_one = f"------\n2026-11-26T03:00:00 ERROR ZEO.x bad\n{TRACEBACK}\n"
    text = first_one + "------\n2026-11-26T03:00:01 INFO y z\n"

    first, second = entries(text, ZCONFIG_FORMAT, ZCONFIG_DATE_FORMAT)

    assert (first.time, first.level, first.is_error) == (THREE, "ERROR", True)
    assert first.lines == ("2026-11-26T03:00:00 ERROR ZEO.x bad", *TRACEBACK.split("\n"))
    assert (second.time, second.level, second.is_error) == (THREE + 1, "INFO", False)


def test_dashes_inside_of_a_message_stay_there() -> None:
    text = "------\n2026-11-26T03:00:00 INFO x table\n------\nsum 3\n"

    (only,) = entries(text, ZCONFIG_FORMAT, ZCONFIG_DATE_FORMAT)

    assert only.lines[1:] == ("------", "sum 3")


def test_zopes_entries_are_found_and_a_traceback_without_level_is_an_error() -> None:
    text = f"2026-11-26 03:00:00 INFO [Zope:42][MainThread] Ready\n{TRACEBACK}\n"

    (only,) = entries(text, EVENT_FORMAT, DATE_FORMAT)

    assert (only.time, only.level, only.is_error) == (THREE, "INFO", True)


@pytest.mark.parametrize(
    ("format_", "date_format", "line", "level"),
    [
        (
            "%(levelname)-8s|%(asctime)s|%(message)s",
            "%d.%m.%Y %H:%M:%S",
            "WARNING |26.11.2026 03:00:00|m",
            "WARNING",
        ),
        ("%(asctime)s.%(msecs)03d %(message)s", "%Y-%m-%d %T", "2026-11-26 03:00:00.500 m", ""),
        ("[%(asctime)s] 100%% %(name)s", "%b %d %H:%M:%S %Y", "[Nov 26 03:00:00 2026] 100% x", ""),
        (SUPERVISOR_FORMAT, SUPERVISOR_DATE_FORMAT, "2026-11-26 03:00:00,500 CRIT m", "CRIT"),
    ],
)
def test_other_formats_are_read_from_the_topology(
    format_: str, date_format: str, line: str, level: str
) -> None:
    (only,) = entries(line + "\n", format_, date_format)

    assert (round(only.time - THREE, 3) in (0, 0.5), only.level) == (True, level)


def test_requests_are_told_by_their_own_time() -> None:
    line = '127.0.0.1 - - [26/Nov/2026:06:00:00 +0300] "GET / HTTP/1.1" 200 1 "-" "x"\n'

    (only,) = entries(line, ACCESS_FORMAT, DATE_FORMAT)

    assert only.time == dt.datetime(2026, 11, 26, 3, tzinfo=dt.timezone.utc).timestamp()


def test_what_a_process_printed_has_its_neighbours_time_and_its_tracebacks_whole() -> None:
    traceback = TRACEBACK.removesuffix("\nlines")
    text = f"first\n2026-11-26 03:00:00 INFO [a:1][b] c\nsecond\n{traceback}\nthird\n"

    found = entries(text, EVENT_FORMAT, DATE_FORMAT, is_output=True)

    assert [each.lines[0] for each in found] == [
        "first",
        "2026-11-26 03:00:00 INFO [a:1][b] c",
        "second",
        "third",
    ]
    assert {each.time for each in found} == {THREE}
    assert [each.is_timed for each in found] == [False, True, False, False]
    assert [each.is_error for each in found] == [False, False, True, False]


def test_printed_dashes_lose_no_line_beside_them() -> None:
    found = entries("a\n------\nb\n", ZCONFIG_FORMAT, ZCONFIG_DATE_FORMAT, is_output=True)

    assert [each.lines for each in found] == [("a",), ("------",), ("b",)]


def test_a_format_without_time_leaves_the_lines_as_they_stand() -> None:
    for format_, date_format in (("%(message)s", "x"), ("%(asctime)s %(message)s", "%H only")):
        found = entries("a\nb\n  more\n", format_, date_format)
        assert [each.lines for each in found] == [("a",), ("b", "  more")]
        assert {each.time for each in found} == {7.0}


def test_bytes_that_are_no_utf_8_and_times_that_cannot_be_harm_nothing() -> None:
    text = "2026-11-26 03:00:00 INFO [a:1][b] M\udcfcller\n2026-02-31 03:00:00 INFO [a:1][b] c\n"

    (only,) = entries(text, EVENT_FORMAT, DATE_FORMAT)

    assert only.lines == (
        "2026-11-26 03:00:00 INFO [a:1][b] M\\xfcller",
        "2026-02-31 03:00:00 INFO [a:1][b] c",
    )


def test_an_entry_without_end_comes_in_pieces() -> None:
    text = "2026-11-26 03:00:00 INFO [a:1][b] c\n" + "more\n" * 12000

    found = entries(text, EVENT_FORMAT, DATE_FORMAT)

    assert sum(len(each.lines) for each in found) == 12001
    assert len(found) == 3
    assert {each.time for each in found} == {THREE}
