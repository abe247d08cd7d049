"""A stage in a ZEO server, which is told over a socket of its own to swap."""

from __future__ import annotations

import logging
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ZODB.POSException import StorageError
from ZODB.utils import u64, z64

from zmount.filestorage.source import open_source, start_before
from zmount.filestorage.transactions import Transaction, oids_of, transactions
from zmount.server.building import Built
from zmount.server.control import Answer, ControlSocket
from zmount.server.freezing import SwapRefused
from zmount.server.generation import Generation, pinned_bytes
from zmount.server.settings import StageSettings
from zmount.server.stage import StageStorage

MOST_CHANGES = 20  # the last transactions on staging that a status tells of

log = logging.getLogger(__name__)


class ServedStage(StageStorage):
    """See the module."""

    def __init__(self, settings: StageSettings) -> None:
        super().__init__(settings)
        self.generations.make_room_for_control()
        self._control = ControlSocket(self.generations.control, self._do)

    def close(self) -> None:
        self._control.close()
        super().close()

    def _do(self, request: dict[str, Any], answer: Answer) -> None:
        """Do what REQUEST says; what is refused is told to who asked."""
        try:
            result = self._called(request, answer)
        except (StorageError, OSError) as why:
            log.warning("%s: %s", self.__name__, why)
            answer({"error": str(why), "kind": type(why).__name__})
        except Exception as why:
            log.exception("%s: %s", self.__name__, request)
            answer({"error": f"{type(why).__name__}: {why}", "kind": "Bug"})
        else:
            answer({"result": result})

    def _called(self, request: dict[str, Any], answer: Answer) -> dict[str, Any]:
        calls = {
            "swap": self._swap,
            "undo": self._undo,
            "facts": self._facts,
            "status": self._status,
        }
        wanted = request.get("call") if isinstance(request, dict) else None
        if wanted not in calls:
            raise SwapRefused(f"there are the calls {', '.join(calls)}, not {wanted!r}")
        if getattr(getattr(self._db, "server", None), "acceptor", None) is None:
            raise SwapRefused(f"{self.__name__}: no ZEO server serves it yet")
        return calls[wanted](request, answer)

    def _swap(self, request: dict[str, Any], answer: Answer) -> dict[str, Any]:
        start = time.perf_counter()

        def progress(phase: str, done: int, total: int) -> None:
            answer({"phase": phase, "done": done, "total": total})

        built = self.swap(str(request.get("mode", "")), progress, unchanged_since(request))
        return {
            **self.facts(),
            **built_facts(built),
            "seconds_to_switch": self.switched_at - start,
            "loop_blocked_s": self.loop_blocked_s,
            "seconds": time.perf_counter() - start,
        }

    def _undo(self, request: dict[str, Any], answer: Answer) -> dict[str, Any]:
        self.undo_swap(unchanged_since(request))
        return self.facts()

    def _facts(self, request: dict[str, Any], answer: Answer) -> dict[str, Any]:
        return self.facts()

    def _status(self, request: dict[str, Any], answer: Answer) -> dict[str, Any]:
        return {**self.facts(), **self.changes()}

    def facts(self) -> dict[str, Any]:
        """Return what the stage is now, as an object of JSON."""
        current = self.generation
        meta = None if current is None else current.known_meta
        return {
            "storage": self.__name__,
            "generation": 0 if current is None else current.number,
            **({} if meta is None else asdict(meta)),
            "floor": self.floor.hex(),
            "broken": self.broken,
            "kept": [_kept(one) for one in self.generations.all() if one != current],
        }

    def changes(self) -> dict[str, Any]:
        """Return what was changed over production's moment: counts, and the last transactions.

        After an undo that is also what had been changed before it. Of the plain file
        nobody knows that: it counts as a whole, and its transactions are not counted
        (None), or all of it would have to be read.
        """
        if self.broken:
            return {"changed_objects": None, "changed_transactions": None, "last_changes": []}
        if self.generation is None:
            return self._last_of_plain()
        oids: set[bytes] = set()
        found = []
        for transaction in self._content.iterator(_next(self._content.base.lastTransaction())):
            changed = {record.oid for record in transaction}
            if not changed:
                continue  # the mark of a swap
            oids |= changed
            user = transaction.user.decode(errors="replace")
            description = transaction.description.decode(errors="replace")
            found.append(_change(transaction.tid, user, description, len(changed)))
        return {
            "changed_objects": len(oids),
            "changed_transactions": len(found),
            "last_changes": found[-MOST_CHANGES:],
        }

    def _last_of_plain(self) -> dict[str, Any]:
        with self._read() as content:
            changes = [
                _change(one.tid, one.user, one.description, len(oids))
                for one, oids in _last_transactions(content)
                if oids
            ]
            return {
                "changed_objects": len(content),
                "changed_transactions": None,
                "last_changes": changes,
            }


def _last_transactions(storage: Any) -> list[tuple[Transaction, frozenset[bytes]]]:
    """Return the last transactions of a FileStorage, and the oids in each, the last one last."""
    with ExitStack() as stack:
        with storage._lock:  # a pack puts another file in place
            end = storage._pos
            source = stack.enter_context(open_source(Path(storage._file_name), end))
        found: deque[tuple[Transaction, frozenset[bytes]]] = deque()
        start = start_before(source, end)
        while start is not None and len(found) < MOST_CHANGES:
            (one,) = transactions(source, start, end)
            found.appendleft((one, oids_of(source, one)))
            start, end = start_before(source, start), start
        return list(found)


def _change(tid: bytes, user: str, description: str, objects: int) -> dict[str, Any]:
    return {"tid": tid.hex(), "user": user, "description": description, "objects": objects}


def unchanged_since(request: dict[str, Any]) -> bytes:
    """Return the last transaction that who made REQUEST knows of; z64: never mind."""
    try:
        return bytes.fromhex(request.get("unchanged_since", "")) or z64
    except (TypeError, ValueError):
        raise SwapRefused("unchanged_since is no transaction id") from None


def built_facts(built: Built) -> dict[str, Any]:
    """Return how a generation was made, as an object of JSON."""
    return {
        "why_copied": built.why_copied,
        "blobs_taken": built.blobs_taken,
        "production_locked_s": built.moment.locked_s,
    }


def _kept(one: Generation) -> dict[str, Any]:
    meta = one.known_meta
    return {
        "generation": one.number,
        "base_tid": "" if meta is None else meta.base_tid,
        "swapped_at": 0.0 if meta is None else meta.swapped_at,
        "pinned_bytes": pinned_bytes(one),
    }


def _next(tid: bytes) -> bytes:
    return int.to_bytes(u64(tid) + 1, 8, "big")
