"""Whether a ZEO server would take a commit, found out without making one."""

from __future__ import annotations

import pickle

from persistent.mapping import PersistentMapping  # type: ignore[import-untyped]
from ZODB.utils import z64

from zmount.effects.raw_zeo import TIMEOUT_S, ZeoRecords
from zmount.topology.addresses import Address
from zmount.topology.storages import Storage
from zmount.topology.zeo import Tls

_ID = "zmount health --write"
# larger than what is left of a full disk's last block: that takes a small record, and no other
_BYTES = 16 * 1024
_RECORD = pickle.dumps(PersistentMapping, 3) + pickle.dumps({"data": {"": bytes(_BYTES)}}, 3)


def try_commit(
    storage: Storage, address: Address, tls: Tls | None = None, *, timeout_s: float = TIMEOUT_S
) -> None:
    """Store a new object in STORAGE at ADDRESS as far as the vote, and abort.

    The server has then taken the commit lock and written the transaction to its disk; nothing
    of it stays, and no other client hears of it.

    :raises StorageUnreadable: it does not take it, or not within TIMEOUT_S
    """
    trial = _Trial(storage, address, tls, timeout_s=timeout_s)
    try:
        trial.vote_and_abort()
    finally:
        trial.close()  # the server aborts what a client leaves behind


class _Trial(ZeoRecords):
    """A connection that may write."""

    _is_read_only = False

    def vote_and_abort(self) -> None:
        """Do all of a commit but its end."""
        oid = self._call("new_oids")[0]
        self._tell("tpc_begin", _ID, b"", b"", {}, None, " ")
        self._tell("storea", oid, z64, _RECORD, _ID)
        self._call("vote", _ID)
        self._call("tpc_abort", _ID)
