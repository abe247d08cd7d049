"""The time zone of this machine, with its summer time: that of cron and of systemd."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo


class LocalZone(tzinfo):
    """What the C library takes for local time, whatever $TZ or /etc/localtime say.

    ``datetime.astimezone()`` knows the offset of one moment only.
    """

    def utcoffset(self, dt: datetime | None) -> timedelta:
        """Return how far the clock on the wall is ahead of UTC at DT."""
        if dt is None:
            return timedelta(0)
        wall = dt.replace(tzinfo=None)  # which Python takes for local time
        return wall - datetime.fromtimestamp(wall.timestamp(), timezone.utc).replace(tzinfo=None)

    def dst(self, dt: datetime | None) -> timedelta | None:
        """Return None: how much of the offset is summer time is not known."""
        return None

    def tzname(self, dt: datetime | None) -> str | None:
        """Return the zone's name at DT, as CET."""
        return None if dt is None else dt.replace(tzinfo=None).astimezone().tzname()

    def fromutc(self, dt: datetime) -> datetime:
        """Return what the clock on the wall shows at the moment DT."""
        stamp = dt.replace(tzinfo=timezone.utc).timestamp()
        return datetime.fromtimestamp(stamp).replace(tzinfo=self)


LOCAL = LocalZone()


def local_time(stamp: float) -> datetime:
    """Return the moment STAMP, seconds since the epoch, in this machine's time zone."""
    return datetime.fromtimestamp(stamp).replace(tzinfo=LOCAL)
