"""What a container of sessions holds, read from its records.

Sessions lie in slices of time, each a tree of sessions by the id of a visitor's browser.
A session moves to the present slice whenever it is asked for; what is in a slice that is
older than the time-out is over, and goes at the next request that asks for a session.

No browser's id and no value of a session leaves this module: who knows the id has the
session.

Source: Products/Transience/Transience.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from zmount.effects.clock import now
from zmount.effects.raw_folders import tree_items
from zmount.effects.raw_records import RawDatabase, Record

CONTAINER = "Products.Transience.Transience.TransientObjectContainer"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionContainer:
    """A container of sessions as it is.

    ``timeout_s`` 0 is no time-out, ``limit`` 0 no limit. ``live`` sessions can still be
    asked for, ``expired`` ones wait to be dropped. ``counted`` is how many there are for
    the limit: Zope's own count, as the next request for a session leaves it.
    """

    timeout_s: int
    limit: int
    live: int
    expired: int
    counted: int

    @property
    def is_full(self) -> bool:
        """True if a new visitor gets an error instead of a session."""
        return bool(self.limit) and self.counted >= self.limit


def session_container(database: RawDatabase, record: Record) -> SessionContainer:
    """Return what the container in RECORD of DATABASE holds.

    :raises StorageUnreadable: a record is damaged
    """
    attributes = record.attributes
    period, slices = _number(attributes.get("_period")), _number(attributes.get("_timeout_slices"))
    # Zope itself looks into the present slice and as many before it
    oldest = now() - period * (slices + 1) if slices else 0.0
    uncounted = _last_uncounted(database, record)
    live: set[object] = set()
    expired: set[object] = set()
    waiting = 0
    for begin, sessions in tree_items(database, attributes.get("_data")):
        ids = [key for key, _ in tree_items(database, sessions)]
        is_live = isinstance(begin, int) and begin >= oldest
        (live if is_live else expired).update(ids)
        if not is_live and isinstance(begin, int) and begin > uncounted:
            waiting += len(ids)
    length = database.referred(attributes.get("_length"))
    counted = 0 if length is None else _number(length.attributes.get("value"))
    return SessionContainer(
        timeout_s=_number(attributes.get("_timeout_secs")),
        limit=_number(attributes.get("_limit")),
        live=len(live),
        expired=len(expired - live),
        counted=counted - waiting,
    )


def _last_uncounted(database: RawDatabase, record: Record) -> float:
    """Return the last slice of the container in RECORD that its count holds no more.

    Slices after it leave the count at the next request for a session, unless the container
    leaves that to somebody else.
    """
    if record.attributes.get("_inband_housekeeping") is False:
        return float("inf")
    last = database.referred(record.attributes.get("_last_finalized_timeslice"))
    return float("inf") if last is None else _number(last.state)


def _number(value: object) -> int:
    return int(value) if isinstance(value, int | float) else 0
