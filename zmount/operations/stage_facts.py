"""What the staging of a site shows, for ``zmount show`` and ``zmount status``."""

from __future__ import annotations

from typing import Any

from zmount.effects.local_files import is_directory
from zmount.effects.stage_files import Changes, StageState, changes_on, stage_state
from zmount.errors import StorageUnreadable
from zmount.operations.swap_plan import changes_counted, state_json
from zmount.tids import tid_text, time_text
from zmount.topology.storages import Storage


def stage_facts(storage: Storage | None) -> dict[str, Any] | None:
    """Return what STORAGE shows as plain values; None if it is no stage, or not on this machine.

    Of a storage that was never swapped, nothing is counted as changed: it is all its own.
    """
    if storage is None or storage.stage is None or not is_directory(storage.stage.generations):
        return None
    try:
        state = stage_state(storage)
        return state_json(state, None if state.is_plain else changes_on(storage))
    except StorageUnreadable as why:
        return {"error": str(why)}


def stage_text(storage: Storage | None) -> str:
    """Return the same in some words, "" where there is nothing to say."""
    if storage is None or storage.stage is None or not is_directory(storage.stage.generations):
        return ""
    try:
        state = stage_state(storage)
        return _text(state, None if state.is_plain else changes_on(storage))
    except StorageUnreadable as why:
        return str(why)


def _text(state: StageState, changes: Changes | None) -> str:
    if state.broken:
        return f"broken: {state.broken}; zmount swap-stage makes it anew"
    if changes is None:
        return "its own file again, after a swap" if any(state.floor) else "never swapped"
    since = f"production of {tid_text(state.base_tid)}, since {time_text(state.swapped_at)}"
    return since + (f"; changed: {changes_counted(changes)}" if changes.transactions else "")
