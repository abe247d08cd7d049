"""A plan as the journal keeps it: complete, with every old and new text.

Unlike :meth:`Plan.as_json` this form holds secrets; the journal's files are
mode 0600 in directories of mode 0700.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from zmount.plan.plan import ACTIONS, Plan
from zmount.plan.steps import (
    FileState,
    MakeDirectory,
    Owner,
    RemoveDirectory,
    RemoveFile,
    SetMode,
    Step,
    WriteFile,
)


def plan_to_record(plan: Plan) -> dict[str, Any]:
    """Return PLAN as JSON values, texts included."""
    return {
        "version": 1,
        "title": plan.title,
        "host": plan.host,
        "undoes": plan.undoes,
        "steps": [_from_step(step) for step in plan.steps],
        "record": None if plan.record is None else _from_step(plan.record),
    }


def plan_from_record(record: dict[str, Any]) -> Plan:
    """Return the plan that RECORD holds.

    :raises KeyError, TypeError, ValueError: it is no such record
    """
    own = record["record"]
    own_step = None if own is None else _to_step(own)
    if own_step is not None and not isinstance(own_step, WriteFile):
        raise ValueError("the record of generated files is not written")
    return Plan(
        title=record["title"],
        host=record["host"],
        undoes=record["undoes"],
        steps=tuple(_to_step(step) for step in record["steps"]),
        record=own_step,
    )


def _from_step(step: Step) -> dict[str, Any]:
    found: dict[str, Any] = {"action": ACTIONS[type(step).__name__], "path": str(step.path)}
    if isinstance(step, MakeDirectory | RemoveDirectory):
        return found | {"mode": step.mode, "owner": _from_owner(step.owner)}
    found["processes"] = list(step.processes)
    found["old"] = None if step.old is None else _from_state(step.old)
    if not isinstance(step, RemoveFile):
        found["new"] = _from_state(step.new)
    return found


def _from_state(state: FileState) -> dict[str, Any]:
    return {"text": state.text, "mode": state.mode, "owner": _from_owner(state.owner)}


def _from_owner(owner: Owner | None) -> list[int] | None:
    return None if owner is None else [owner.uid, owner.gid]


def _to_step(said: dict[str, Any]) -> Step:
    path, action = PurePosixPath(said["path"]), said["action"]
    if action in ("make-directory", "remove-directory"):
        kind = MakeDirectory if action == "make-directory" else RemoveDirectory
        return kind(path=path, mode=said["mode"], owner=_to_owner(said["owner"]))
    processes = tuple(said["processes"])
    if action == "write":
        old = None if said["old"] is None else _to_state(said["old"])
        return WriteFile(path=path, new=_to_state(said["new"]), old=old, processes=processes)
    old = _to_state(said["old"])
    if action == "remove":
        return RemoveFile(path=path, old=old, processes=processes)
    if action == "set-mode":
        return SetMode(path=path, new=_to_state(said["new"]), old=old, processes=processes)
    raise ValueError(f"there is no step {action!r}")


def _to_state(said: dict[str, Any]) -> FileState:
    return FileState(text=said["text"], mode=said["mode"], owner=_to_owner(said["owner"]))


def _to_owner(said: list[int] | None) -> Owner | None:
    return None if said is None else Owner(uid=said[0], gid=said[1])
