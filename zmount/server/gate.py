"""Keeps the clients of one storage of a ZEO server from committing, and makes them forget.

A gate takes part in ZEO's lock manager as if it were a client that votes: once it
has the lock, no other client is between its vote and its finish.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from zmount.server.freezing import SwapRefused

T = TypeVar("T")

ON_LOOP_S = 60.0  # so long the event loop may be busy with something else
FORCED_S = 10.0  # so long after its holder was disconnected the lock may take to come

log = logging.getLogger(__name__)


class Gate:
    """The gate of the storage that StorageServerDB ``db`` stands for."""

    connected = True
    locked = False  # ZEO's lock manager looks at these four
    transaction = None

    def __init__(self, db: Any) -> None:
        self.server = db.server
        self.storage_id = db.storage_id
        self.manager = self.server.lock_managers[self.storage_id]
        self.connection = self  # ZEO's time-out would close it
        self._loop = self.server.acceptor.event_loop
        self._is_closed = threading.Event()

    def log(self, message: str, level: int = logging.DEBUG, **options: Any) -> None:
        """Take what the lock manager has to say of its clients."""
        log.log(level, "swap of %s: %s", self.storage_id, message)

    def close(self) -> None:
        """Do nothing: a transaction's time-out does not end a swap, which has its own."""

    def call_soon_threadsafe(self, function: Callable[..., Any], *args: Any) -> None:
        """Call FUNCTION in the event loop."""
        self._loop.call_soon_threadsafe(function, *args)

    def on_loop(self, function: Callable[[], T]) -> T:
        """Call FUNCTION in the event loop, which does nothing else meanwhile; return its result.

        :raises SwapRefused: the loop does not come to it
        """
        done = threading.Event()
        results: list[T] = []
        errors: list[BaseException] = []

        def call() -> None:
            try:
                results.append(function())
            except BaseException as why:
                errors.append(why)
            done.set()

        self._loop.call_soon_threadsafe(call)
        if not done.wait(ON_LOOP_S):
            raise SwapRefused(f"the ZEO server does not answer for {ON_LOOP_S:.0f} s")
        if errors:
            raise errors[0]
        return results[0]

    def shut(self, drain_timeout_s: float) -> None:
        """Wait until nobody is committing, and let nobody begin to.

        Who has not finished a commit by then is disconnected, and his commit undone.

        :raises SwapRefused: the lock does not come
        """
        self.on_loop(lambda: self.manager.lock(self, self._shut))
        if self._is_closed.wait(drain_timeout_s):
            return
        self.on_loop(self._disconnect_holder)
        if not self._is_closed.wait(FORCED_S):
            self.on_loop(self.open)
            raise SwapRefused(f"{self.storage_id}: somebody holds its commit lock")

    def _shut(self) -> None:
        self.locked = True
        self._is_closed.set()

    def _disconnect_holder(self) -> None:
        holder = self.manager.locked
        if holder is not None and holder is not self:
            holder.log("does not finish its commit: disconnected for a swap", logging.WARNING)
            disconnect(holder)

    def open(self) -> None:
        """Let clients commit again; in the event loop."""
        self.manager.release(self)

    def clients(self) -> list[Any]:
        """Return the connections to the storage."""
        return list(self.server.zeo_storages_by_storage_id[self.storage_id])


def disconnect(client: Any) -> None:
    """Close a client's connection, and undo its transaction; in the event loop.

    ``close`` alone would keep the commit lock for ever: ZEO 6.2 marks a connection
    closed first, and then takes its end for something that was seen to already.
    """
    connection = client.connection
    client.notify_disconnected()
    connection.close()
