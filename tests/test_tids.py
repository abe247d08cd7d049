"""Transaction ids as times."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from persistent.timestamp import TimeStamp

from zmount.tids import moment, tid_moment, tid_text, tid_time

TIMES = st.datetimes(dt.datetime(1971, 1, 1), dt.datetime(2099, 1, 1))


@given(TIMES)
def test_a_tid_is_the_time_that_persistent_makes_of_it(time):
    seconds = time.second + time.microsecond / 1e6
    stamp = TimeStamp(time.year, time.month, time.day, time.hour, time.minute, seconds)

    found = tid_time(stamp.raw())

    assert found is not None
    assert abs(found.timestamp() - stamp.timeTime()) < 1e-5


def test_a_day_that_a_month_does_not_have_is_no_time():
    minutes = (((100 * 12 + 1) * 31) + 30) * 24 * 60  # the 31st of February 2000

    assert tid_time(minutes.to_bytes(4, "big") + bytes(4)) is None
    assert tid_text(minutes.to_bytes(4, "big") + bytes(4)) == f"tid 0x{minutes:08x}00000000"


def test_no_transaction_at_all_is_never():
    assert tid_text(bytes(8)) == "never"
    assert tid_moment(bytes(8)) is None
    assert moment(0) is None


def test_a_tid_has_eight_bytes():
    with pytest.raises(ValueError, match="8 bytes"):
        tid_time(b"\1")
