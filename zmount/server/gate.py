"""Keeps the clients of one storage of a ZEO server from committing, and makes them forget.

A gate takes part in ZEO's lock manager as if it were a client that votes: once it
has the lock, no other client is between its vote and its finish.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
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
        self.blocked_s = 0.0  # for so long the event loop did nothing but replace

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

        :raises SwapRefused: the loop does not come to it, and never will
        """
        call = _Call(function)
        try:
            self._loop.call_soon_threadsafe(call.run)
        except RuntimeError:
            raise SwapRefused("the ZEO server is ending") from None
        result: T = call.result(ON_LOOP_S)
        return result

    def shut(self, drain_timeout_s: float) -> None:
        """Wait until nobody is committing, and let nobody begin to.

        Who has not finished a commit by then is disconnected, and his commit undone.
        Whether it succeeds or not, :meth:`open_soon` ends it.

        :raises SwapRefused: the lock does not come
        """
        self.on_loop(lambda: self.manager.lock(self, self._shut))
        if self._is_closed.wait(drain_timeout_s):
            return
        self.on_loop(self._take_turn)
        if not self._is_closed.wait(FORCED_S):
            raise SwapRefused(f"{self.storage_id}: somebody holds its commit lock")

    def _shut(self) -> None:
        self.locked = True
        self._is_closed.set()

    def _take_turn(self) -> None:
        """Disconnect who holds the lock, and come before all others that wait for it."""
        holder, waiting = self.manager.locked, self.manager.waiting
        if self in waiting:
            others = dict(waiting)
            waiting.clear()
            waiting[self] = others.pop(self)
            waiting.update(others)
        if holder is not None and holder is not self:
            holder.log("does not finish its commit: disconnected for a swap", logging.WARNING)
            disconnect(holder)

    def open(self) -> None:
        """Let clients commit again; in the event loop."""
        self.manager.release(self)

    def open_soon(self) -> None:
        """Let clients commit again as soon as the event loop comes to it; waits for nothing."""
        with suppress(RuntimeError):  # the server is ending
            self._loop.call_soon_threadsafe(self.open)

    def replace(self, take: Callable[[], None]) -> None:
        """Let TAKE make the storage another one, and all clients forget; in the event loop.

        Their transactions are undone in the storage that it was.
        """
        start = time.perf_counter()
        for client in list(self.server.zeo_storages_by_storage_id[self.storage_id]):
            disconnect(client)
        take()
        # what was changed since then; they ask for it when they are back, which is at once
        last = self.server.storages[self.storage_id].lastTransaction()
        self.server.invq[self.storage_id] = [(last, [])]
        self.open()
        self.blocked_s = time.perf_counter() - start


class _Call:
    """A call that is begun in the event loop in time, or never."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._begins = threading.Lock()  # who has it decides
        self._done = threading.Event()
        self._result: Any = None
        self._error: BaseException | None = None

    def run(self) -> None:
        if not self._begins.acquire(blocking=False):
            return  # nobody waits for it any more
        try:
            self._result = self._function()
        except BaseException as why:
            self._error = why
        self._done.set()

    def result(self, timeout_s: float) -> Any:
        if not self._done.wait(timeout_s) and self._begins.acquire(blocking=False):
            raise SwapRefused(f"the ZEO server does not answer for {timeout_s:.0f} s")
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._result


def disconnect(client: Any) -> None:
    """Close a client's connection, and undo its transaction; in the event loop.

    ``close`` alone would keep the commit lock for ever: ZEO 6.2 marks a connection
    closed first, and then takes its end for something that was seen to already.
    """
    connection = client.connection
    try:
        client.notify_disconnected()
        if client.blob_tempfile is not None:  # half sent: ZEO forgets it
            descriptor, name = client.blob_tempfile
            client.blob_tempfile = None
            os.close(descriptor)
            Path(name).unlink()
    except Exception:
        log.exception("the transaction of %s cannot be undone", client)
    connection.close()
