"""The journal: what an apply is about to do, on the disk before it does it.

Each apply has a numbered directory (mode 0700) with one file: the plan, with
every old and new text. The file's name says how far the apply has come:

``begun.json``
    new texts are being written beside their places; nothing is changed yet,
    and the next run removes them.
``committed.json``
    the commit point: from the rename to this name on, the next run finishes it.
``failing.json``
    a step failed; what had been done is being undone, and the next run goes on
    undoing.
``done.json``
    it is complete, and is kept so that ``zmount undo`` can take it back.

Renames are atomic, so an apply is always in exactly one of these states.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from zmount.effects.disk import sync_directory
from zmount.errors import ApplyFailed
from zmount.plan.plan import Plan
from zmount.plan.records import plan_from_record, plan_to_record

KEPT = 20  # journals that undo can go back through

State = Literal["begun", "committed", "failing", "done"]
STATES: tuple[State, ...] = ("begun", "committed", "failing", "done")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One apply in the journal: its number, how far it has come, and its plan.

    ``time`` is when it began, in UTC.
    """

    directory: Path
    number: int
    state: State
    time: dt.datetime
    plan: Plan

    def become(self, state: State) -> Entry:
        """Note that the apply has come to STATE, and return the entry as it is now."""
        _file(self.directory, self.state).rename(_file(self.directory, state))
        sync_directory(self.directory)
        return replace(self, state=state)

    def drop(self) -> None:
        """Forget the apply: nothing of it is left, or nobody will want it back."""
        journal = self.directory.parent
        shutil.rmtree(self.directory)
        if not any(journal.iterdir()):
            journal.rmdir()
        sync_directory(journal)


def begin(state: Path, plan: Plan) -> Entry:
    """Write PLAN into the journal under STATE and return its entry.

    :raises OSError: no space, no permission; then nothing is left behind
    """
    journal = state / "journal"
    journal.mkdir(mode=0o700, exist_ok=True)
    number = max((int(path.name) for path in _directories(journal)), default=0) + 1
    directory = journal / f"{number:06d}"
    time = dt.datetime.now(dt.timezone.utc)
    directory.mkdir(mode=0o700)
    try:
        _write(_file(directory, "begun"), {"time": time.isoformat(), **plan_to_record(plan)})
        sync_directory(journal)
    except OSError:
        shutil.rmtree(directory)
        raise
    return Entry(directory=directory, number=number, state="begun", time=time, plan=plan)


def unfinished(state: Path) -> tuple[Entry, ...]:
    """Return the entries of applies that were interrupted, oldest first.

    :raises ApplyFailed: an entry cannot be read
    """
    return tuple(
        _read(directory, name)
        for directory in _directories(state / "journal")
        if (name := _state(directory)) not in (None, "done")
    )


def complete(state: Path) -> Iterator[Entry]:
    """Yield the entries of applies that are done, newest first.

    :raises ApplyFailed: an entry cannot be read
    """
    for directory in reversed(_directories(state / "journal")):
        if _state(directory) == "done":
            yield _read(directory, "done")


def prune(state: Path) -> None:
    """Remove the oldest entries but :data:`KEPT`, and those that never began.

    What cannot be removed stays: it harms nobody.
    """
    directories = _directories(state / "journal")
    for directory in directories:
        name = _state(directory)
        if name is None or (name == "done" and directory in directories[:-KEPT]):
            shutil.rmtree(directory, ignore_errors=True)


def is_unfinished(state: Path) -> bool:
    """True if an apply under STATE was interrupted and waits for the next run.

    :raises OSError: zmount's own directory cannot be read
    """
    return any(
        _state(directory) not in (None, "done") for directory in _directories(state / "journal")
    )


def _directories(journal: Path) -> list[Path]:
    if not journal.is_dir():
        return []
    return sorted(path for path in journal.iterdir() if path.name.isdigit())


def _file(directory: Path, state: State) -> Path:
    return directory / f"{state}.json"


def _write(path: Path, record: dict[str, Any]) -> None:
    new = path.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(record, file)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
    sync_directory(path.parent)


def _state(directory: Path) -> State | None:
    return next((name for name in STATES if _file(directory, name).exists()), None)


def _read(directory: Path, state: State | None) -> Entry:
    assert state is not None
    path = _file(directory, state)
    try:
        record = json.loads(path.read_text())
        plan, time = plan_from_record(record), dt.datetime.fromisoformat(record["time"])
    except (OSError, KeyError, TypeError, ValueError) as why:
        raise ApplyFailed(
            f"{path}: the journal's entry cannot be read: {why}",
            hint=f"restore {path} from a backup, or remove {directory} to forget that apply",
        ) from None
    return Entry(directory=directory, number=int(directory.name), state=state, time=time, plan=plan)
