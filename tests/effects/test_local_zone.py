"""The machine's time zone, through the changes of summer time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from zmount.effects.local_zone import LOCAL, local_time
from zmount.topology.cron import parse_cron

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC")


@pytest.fixture(params=ZONES)
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ZoneInfo]:
    """This process' zone, as the C library has it, and the same by its tables."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield ZoneInfo(request.param)
    monkeypatch.undo()
    time.tzset()


def test_every_half_hour_of_a_year_is_what_the_tables_say(zone: ZoneInfo):
    moment = datetime(2025, 1, 1, tzinfo=timezone.utc)
    for _ in range(365 * 48):
        ours, theirs = local_time(moment.timestamp()), moment.astimezone(zone)
        assert ours.replace(tzinfo=None) == theirs.replace(tzinfo=None)
        assert ours.utcoffset() == theirs.utcoffset()
        assert ours.fold == theirs.fold
        assert ours.timestamp() == moment.timestamp()
        moment += timedelta(minutes=30)


@pytest.mark.parametrize("at", ["30 2 * * *", "0 */3 * * *", "15 1 * * 0"])
def test_cron_comes_at_the_same_moments(zone: ZoneInfo, at: str):
    for month in (3, 4, 10, 11):
        start = datetime(2025, month, 1)
        ours = islice(parse_cron(at).after(start.replace(tzinfo=LOCAL)), 40)
        theirs = islice(parse_cron(at).after(start.replace(tzinfo=zone)), 40)
        assert [time.timestamp() for time in ours] == [time.timestamp() for time in theirs]
