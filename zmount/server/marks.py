"""The mark of a swap: a tid that clients have not seen yet, and oids that none has in stock."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from ZODB.Connection import TransactionMetaData
from ZODB.TimeStamp import TimeStamp
from ZODB.utils import p64, u64, z64

OID_RANGE = 40  # bits: staging has so many oids for itself, and others after each swap


def tid_after(tids: Iterable[bytes]) -> bytes:
    """Return the tid of this moment, or one that is just later than all TIDS."""
    now = time.time()
    tid: bytes = TimeStamp(*time.gmtime(now)[:5], now % 60).laterThan(TimeStamp(max(tids))).raw()
    return tid


def oids_after(storages: Iterable[Any]) -> bytes:
    """Return where a range of oids begins of which none of STORAGES has given out any."""
    top = max(u64(getattr(each, "_oid", z64)) for each in storages)
    oid: bytes = p64((top >> OID_RANGE) + 1 << OID_RANGE)
    return oid


def leave_mark(content: Any, tid: bytes) -> None:
    """Commit an empty transaction TID to CONTENT."""
    mark = TransactionMetaData("zmount", "production's content took this one's place")
    content.tpc_begin(mark, tid)
    content.tpc_vote(mark)
    content.tpc_finish(mark)
