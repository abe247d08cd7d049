"""A stage in a ZEO server, which is told over a socket of its own to swap."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from typing import Any

from ZODB.POSException import StorageError
from ZODB.utils import u64, z64

from zmount.server.building import Built
from zmount.server.control import Answer, ControlSocket
from zmount.server.freezing import SwapRefused
from zmount.server.generations import Generation, pinned_bytes
from zmount.server.settings import StageSettings
from zmount.server.stage import StageStorage

MOST_CHANGES = 20  # the last transactions on staging that a status tells of

log = logging.getLogger(__name__)


class ServedStage(StageStorage):
    """See the module."""

    def __init__(self, settings: StageSettings) -> None:
        super().__init__(settings)
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
        return {
            "storage": self.__name__,
            "generation": 0 if current is None else current.number,
            "floor": self.floor.hex(),
            **({} if current is None else asdict(current.meta)),
            "kept": [_kept(one) for one in self.generations.all() if one != current],
        }

    def changes(self) -> dict[str, Any]:
        """Return what was changed over production's moment: counts, and the last transactions.

        After an undo that is also what had been changed before it. The plain file
        counts as a whole.
        """
        oids: set[bytes] = set()
        transactions = []
        base = getattr(self._content, "base", None)
        start = None if base is None else _next(base.lastTransaction())
        for transaction in self._content.iterator(start):
            changed = {record.oid for record in transaction}
            if not changed:
                continue  # the mark of a swap
            oids |= changed
            transactions.append(
                {
                    "tid": transaction.tid.hex(),
                    "user": transaction.user.decode(errors="replace"),
                    "description": transaction.description.decode(errors="replace"),
                    "objects": len(changed),
                }
            )
        return {
            "changed_objects": len(oids),
            "changed_transactions": len(transactions),
            "last_changes": transactions[-MOST_CHANGES:],
        }


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
