"""Applying a plan, all or nothing, whatever happens in between.

1. begin:  the plan goes into the journal.
2. stage:  directories are made, new texts written beside their places and
   flushed: all that needs space happens here, where nothing is changed yet.
3. commit: the files are looked at once more; then one rename decides.
4. place:  the new texts are renamed into their places, old files removed.
5. done:   the journal says so.

What dies before 3 has never been; what dies after it is finished by
:func:`recover`. What fails is undone in reverse.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from zmount.effects import disk, journal
from zmount.effects.journal import Entry
from zmount.effects.local_host import NotAPlainFile, file_state
from zmount.errors import ApplyFailed, ApplyRefused
from zmount.plan.plan import Plan
from zmount.plan.steps import (
    FileState,
    MakeDirectory,
    RemoveDirectory,
    RemoveFile,
    SetMode,
    Step,
    WriteFile,
)


def apply_plan(plan: Plan, state: Path) -> Entry:
    """Carry out PLAN; STATE is where zmount's own files are, its lock held.

    :raises ApplyRefused: a file is not as it was when the plan was made
    :raises ApplyFailed: a step failed; everything is as it was before
    """
    check_expectations(plan)
    try:
        entry = journal.begin(state, plan)
    except OSError as why:
        raise _failed(why, PurePosixPath(state / "journal")) from why
    try:
        _stage(entry)
        check_expectations(plan)
        committed = _become(entry, "committed")
    except BaseException:
        _take_back(entry)
        raise
    return _finish(committed, state)


def recover(state: Path) -> tuple[str, ...]:
    """Finish or undo what was interrupted; return what was done, one line each.

    :raises ApplyFailed: a step failed; everything is as before that apply
    """
    said = []
    for entry in journal.unfinished(state):
        if entry.state == "committed":
            _finish(entry, state)
            said.append(f"finished what was interrupted: {entry.plan.title} ({entry.time:%F %R})")
        else:
            _take_back(entry)
            said.append(f"undid what was interrupted: {entry.plan.title} ({entry.time:%F %R})")
    return tuple(said)


def check_expectations(plan: Plan) -> None:
    """Refuse PLAN if a file is not as it was when the plan was made.

    :raises ApplyRefused: naming the first such file
    """
    for expected in plan.expectations:
        try:
            found = file_state(expected.path)
        except (OSError, NotAPlainFile) as why:
            raise ApplyRefused(f"{expected.path}: {getattr(why, 'strerror', why)}") from None
        if (found.checksum if found else "") != expected.checksum:
            raise ApplyRefused(
                f"{expected.path} was changed after the plan was made", hint="say it again"
            )


def verify(plan: Plan) -> None:
    """Read back everything that PLAN did.

    :raises ApplyFailed: naming what is not as it should be
    """
    for step in plan.all_steps:
        if isinstance(step, RemoveDirectory):
            continue
        if isinstance(step, MakeDirectory):
            is_right = Path(step.path).is_dir()
        else:
            is_right = disk.is_state(step.path, _after(step))
        if not is_right:
            raise ApplyFailed(
                f"{step.path} was written, but does not hold what was written",
                hint="zmount diff-config shows the difference; does something else write it?",
            )


def _stage(entry: Entry) -> None:
    path = PurePosixPath(entry.directory)
    try:
        for step in entry.plan.all_steps:
            path = step.path
            if isinstance(step, MakeDirectory):
                disk.make_directory(step.path, step.mode, step.owner)
            elif isinstance(step, WriteFile):
                disk.write_beside(step.path, step.new, entry.number)
        _sync(entry)
    except OSError as why:
        raise _failed(why, path) from why


def _finish(entry: Entry, state: Path) -> Entry:
    path = PurePosixPath(entry.directory)
    try:
        for step in entry.plan.all_steps:
            path = step.path
            _place(step, entry.number)
        _sync(entry)
    except OSError as why:
        _take_back(_become(entry, "failing"))
        raise _failed(why, path) from why
    entry = _become(entry, "done")
    journal.prune(state)
    return entry


def _place(step: Step, number: int) -> None:
    """Bring STEP about, unless it is already, or a person changed the file since.

    A person's change is left alone: the next plan sees and shows it.
    """
    if isinstance(step, MakeDirectory):
        disk.make_directory(step.path, step.mode, step.owner)
    elif isinstance(step, RemoveDirectory):
        disk.remove_directory(step.path)
    elif isinstance(step, SetMode):
        if disk.is_state(step.path, step.new):
            disk.set_mode(step.path, step.new)
    elif disk.is_state(step.path, step.old):
        _replace(step.path, _after(step), number)
    if isinstance(step, WriteFile):
        disk.remove_beside(step.path, number)


def _take_back(entry: Entry) -> None:
    """Undo what ENTRY has done so far, last step first, and forget it."""
    failed: list[tuple[PurePosixPath, OSError]] = []
    for step in reversed(entry.plan.all_steps):
        try:
            _take_back_step(step, entry.number)
        except OSError as why:
            failed.append((step.path, why))  # the others can still be as they were
    if not failed:
        try:
            _sync(entry)
            entry.drop()
        except OSError as why:
            failed.append((PurePosixPath(entry.directory), why))
    if failed:
        path, first = failed[0]
        raise ApplyFailed(
            f"{path}: {first.strerror}; what had been done could not be undone",
            hint="zmount apply goes on undoing it as soon as the reason is gone",
        ) from first


def _take_back_step(step: Step, number: int) -> None:
    if not isinstance(step, MakeDirectory | RemoveDirectory):
        disk.remove_beside(step.path, number)
    if isinstance(step, MakeDirectory):
        disk.remove_directory(step.path)
    elif isinstance(step, RemoveDirectory):
        disk.make_directory(step.path, step.mode, step.owner)
    elif isinstance(step, SetMode):
        if disk.is_state(step.path, step.old):
            disk.set_mode(step.path, step.old)
    elif disk.is_state(step.path, _after(step)):
        _replace(step.path, step.old, number)


def _replace(path: PurePosixPath, state: FileState | None, number: int) -> None:
    if state is None:
        Path(path).unlink(missing_ok=True)
        return
    if not disk.is_beside(path, state, number):
        disk.write_beside(path, state, number)
    disk.put_in_place(path, number)


def _after(step: WriteFile | RemoveFile | SetMode) -> FileState | None:
    return None if isinstance(step, RemoveFile) else step.new


def _become(entry: Entry, state: journal.State) -> Entry:
    try:
        return entry.become(state)
    except OSError as why:
        raise ApplyFailed(
            f"{entry.directory}: the journal cannot be written: {why.strerror}",
            hint="zmount apply finishes or undoes the rest as soon as it can be written",
        ) from why


def _sync(entry: Entry) -> None:
    """Flush the directories of everything that ENTRY touches."""
    for path in sorted({step.path.parent for step in entry.plan.all_steps}):
        disk.sync_directory(path)


def _failed(why: OSError, path: PurePosixPath) -> ApplyFailed:
    return ApplyFailed(
        f"{path}: {why.strerror or why}; everything is as it was before",
        hint="put that right and say it again",
    )
