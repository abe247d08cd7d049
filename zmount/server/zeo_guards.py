"""What a ZEO server that has a stage must do otherwise than ZEO 6.2 does it."""

from __future__ import annotations

from typing import Any, Protocol

from ZEO.asyncio.server import ServerProtocol
from ZODB.utils import z64

from zmount.server.broken import BrokenStage


class HasFloor(Protocol):
    """A storage whose content was replaced by a transaction, its floor."""

    floor: bytes


def guard(server: Any) -> None:
    """Put the guards into SERVER, once."""
    if not hasattr(server, "zmount_guarded"):
        server.zmount_guarded = True
        _guard_invalidations(server)
        _guard_locks()
        _guard_log()


def _guard_invalidations(server: Any) -> None:
    """Let SERVER tell a client from before a swap that its cache is too old.

    With ``invalidation-age`` it would read what it is to forget from the content
    instead, which never had it.
    """
    unguarded = server.get_invalidations

    def get_invalidations(storage_id: str, tid: bytes) -> Any:
        if tid < getattr(server.storages[storage_id], "floor", z64):
            return None, []
        return unguarded(storage_id, tid)

    server.get_invalidations = get_invalidations


def _guard_locks() -> None:
    """Let a connection that the server closes give back the commit lock.

    ZEO marks it closed first, and then takes its end for something that was seen to
    already: with ``transaction-timeout``, one client that does not finish its commit
    keeps all others from theirs, for ever. See docs/zeo-lock-bug.md.
    """
    if getattr(ServerProtocol.close, "zmount_guarded", False):
        return
    unguarded = ServerProtocol.close

    def close(self: Any) -> Any:
        client = self.zeo_storage
        if not self.closed and client is not None and client.connected:
            client.notify_disconnected()
        return unguarded(self)

    close.zmount_guarded = True  # type: ignore[attr-defined]
    ServerProtocol.close = close


def _guard_log() -> None:
    """Let the log not be filled with what clients of a broken stage are told each time."""
    if BrokenStage not in ServerProtocol.unlogged_exception_types:
        ServerProtocol.unlogged_exception_types += (BrokenStage,)
