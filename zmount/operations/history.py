"""Tell what was done to a deployment, by whom, and what came of it.

1. read: the entries that are wanted, from the file beside the topology. That itself need
   not be readable: its history is wanted most when it is not.
"""

from __future__ import annotations

import os
from typing import Any

from zmount.effects.history import Entry, Search, entries, history_file
from zmount.tids import moment


def history(topology_file: str | os.PathLike[str], search: Search) -> tuple[Entry, ...]:
    """Return what SEARCH wants of the history of TOPOLOGY_FILE's deployment, oldest first.

    :raises HistoryUnreadable: it cannot be read
    """
    return entries(history_file(topology_file), search)


def entry_json(entry: Entry) -> dict[str, Any]:
    """Return ENTRY as plain values; sizes are in bytes."""
    return {
        "number": entry.number,
        "operation": entry.operation,
        "subjects": list(entry.subjects),
        "began": moment(entry.began),
        "seconds": entry.duration_s,
        "host": entry.host,
        "who": entry.who,
        "uid": entry.uid,
        "job": entry.job or None,
        "arguments": dict(entry.arguments),
        "plan": list(entry.plan),
        "result": entry.result,
        "exit_status": entry.exit_status,
        "error": entry.sentence or None,
        "hint": entry.hint or None,
        "numbers": dict(entry.numbers),
    }
