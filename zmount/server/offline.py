"""Swaps a stage that no server serves: its files alone, under their locks.

Reads a request as JSON on stdin: ``conf``, the stage's section with its ``%import``,
and ``request``, as the control socket takes it (see control.py). It answers as that
does, on stdout.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

from zc.lockfile import LockError
from ZODB.POSException import StorageError

from zmount.server.section import settings_of
from zmount.server.serving import built_facts, unchanged_since
from zmount.server.stage import StageStorage


def main() -> None:
    """Do what stdin says."""
    logging.getLogger().addHandler(logging.NullHandler())
    asked = json.load(sys.stdin)
    try:
        result = _done(asked["conf"], asked["request"])
    except LockError:
        _answer({"error": "another process has it open", "kind": "LockError"})
    except (StorageError, OSError) as why:
        _answer({"error": str(why), "kind": type(why).__name__})
    else:
        _answer({"result": result})


def _done(conf: str, request: dict[str, Any]) -> dict[str, Any]:
    start = time.perf_counter()
    stage = StageStorage(settings_of(conf))
    try:
        since = unchanged_since(request)
        if request["call"] == "undo":
            stage.undo_swap(since)
            return {}
        built = stage.swap(request.get("mode", ""), _progress, since)
        return {**built_facts(built), "seconds": time.perf_counter() - start}
    finally:
        stage.close()


def _progress(phase: str, done: int, total: int) -> None:
    _answer({"phase": phase, "done": done, "total": total})


def _answer(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
