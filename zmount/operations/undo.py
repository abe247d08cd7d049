"""Put back the files that the last apply replaced.

1. observe: which apply was the last that is not undone yet; what is there now.
2. plan:    its steps turned round, last first; refuse where a person has
            changed a file since.
3. apply:   all or nothing, journalled as an apply is.
4. verify:  read everything back.

Saying it again goes back one apply further.
"""

from __future__ import annotations

from collections.abc import Iterable

from zmount.effects.apply import apply_plan, recover, verify
from zmount.effects.journal import Entry, complete
from zmount.effects.local_host import observe
from zmount.effects.lock import locked
from zmount.errors import ApplyRefused
from zmount.operations.applied import Applied, record_applied
from zmount.operations.outdated import outdated
from zmount.operations.plan_host import keep_running
from zmount.operations.recorded import recorded
from zmount.plan.manifest import STATE, manifest_text
from zmount.plan.plan import Conflict, Plan
from zmount.plan.seen import Seen, way_past
from zmount.plan.steps import (
    FileState,
    FileStep,
    MakeDirectory,
    RemoveDirectory,
    RemoveFile,
    SetMode,
    Step,
    WriteFile,
)
from zmount.topology.hosts import Host
from zmount.topology.load import is_there
from zmount.topology.topology import Topology


def undo(topology: Topology, host: Host, *, dry_run: bool = False) -> Applied:
    """Take back the last apply on HOST that is not undone yet.

    :raises ApplyRefused: there is none, or a person changed a file since
    :raises ApplyFailed: a step failed; everything is as it was before
    :raises Locked: another zmount is at work here
    """
    with recorded(
        topology.file, host.name, "undo", subjects=[host.name], dry_run=dry_run
    ) as record:
        done = _undone(topology, host, dry_run=dry_run)
        record_applied(record, done)
    return done


def _undone(topology: Topology, host: Host, *, dry_run: bool) -> Applied:
    if not is_there(host.directory / STATE):
        raise _nothing(host)
    with locked(host.directory) as state:
        recovered = () if dry_run else recover(state)
        entry = last_apply(complete(state))
        if entry is None:
            raise _nothing(host)
        plan = keep_running(plan_undo(entry, _seen(entry.plan)))
        if plan.conflicts:
            hints = dict.fromkeys(conflict.hint for conflict in plan.conflicts)
            raise ApplyRefused("\n".join(map(str, plan.conflicts)), hint="; ".join(hints))
        if not dry_run:
            apply_plan(plan, state)
            verify(plan)
    if dry_run:
        return Applied(plan=plan, is_dry_run=True)
    names = outdated(topology, host)
    return Applied(plan=plan, is_dry_run=False, recovered=recovered, outdated=names)


def last_apply(entries: Iterable[Entry]) -> Entry | None:
    """Return the newest of ENTRIES (newest first) that no undo has taken back."""
    undone = set()
    for entry in entries:
        if entry.plan.undoes:
            undone.add(entry.plan.undoes)
        elif entry.number not in undone and entry.plan.changes_anything:
            return entry
    return None


def plan_undo(entry: Entry, seen: Seen) -> Plan:
    """Return the plan that takes ENTRY back, judging by what was SEEN.

    What ENTRY did and is no longer so is left out, where leaving it out loses
    nothing that a person wrote.
    """
    steps: list[Step] = []
    conflicts: list[Conflict] = []
    for step in reversed(entry.plan.steps):
        if isinstance(step, MakeDirectory):
            if step.path in seen.directories:
                steps.append(step.undo())
        elif not isinstance(step, RemoveDirectory):
            found = _undo_file(step, seen)
            if isinstance(found, Conflict):
                conflicts.append(found)
            elif found is not None:
                steps.append(found)
    record = entry.plan.record
    own = None if record is None else _undo_record(record, seen)
    return Plan(
        title=f"undo what was applied at {entry.time:%F %R} UTC",
        host=entry.plan.host,
        steps=tuple(steps),
        record=own,
        conflicts=tuple(conflicts),
        undoes=entry.number,
    )


def _undo_file(step: FileStep, seen: Seen) -> FileStep | Conflict | None:
    if step.path in seen.obstacles:
        obstacle = seen.obstacles[step.path]
        return Conflict(path=step.path, what=obstacle, hint=way_past(obstacle, step.path))
    now, before = seen.files.get(step.path), step.old
    after = None if isinstance(step, RemoveFile) else step.new
    if isinstance(step, SetMode):
        is_ours = now is not None and now.text == step.new.text
        return SetMode(path=step.path, new=step.old, old=now) if now and is_ours else None
    if _text(now) == _text(before):
        return None
    if now is not None and _text(now) != _text(after):
        return Conflict(
            path=step.path,
            what="a person changed it since zmount wrote it",
            hint=f"keep the change elsewhere and remove {step.path}",
        )
    if before is not None:  # a file that a person removed comes back, too
        return WriteFile(path=step.path, new=before, old=now, processes=step.processes)
    return None if now is None else RemoveFile(path=step.path, old=now, processes=step.processes)


def _text(state: FileState | None) -> str | None:
    return None if state is None else state.text


def _undo_record(record: WriteFile, seen: Seen) -> WriteFile:
    before = record.old or FileState(text=manifest_text(()), mode=record.new.mode)
    return WriteFile(path=record.path, new=before, old=seen.files.get(record.path))


def _seen(plan: Plan) -> Seen:
    directories = (
        step.path for step in plan.steps if isinstance(step, MakeDirectory | RemoveDirectory)
    )
    record = () if plan.record is None else (plan.record.path,)
    files = (*(step.path for step in plan.file_steps), *record)
    return observe(files=files, directories=directories, users=())


def _nothing(host: Host) -> ApplyRefused:
    return ApplyRefused(
        f"there is no apply in {host.directory} to take back",
        hint="zmount diff-config shows what apply would change",
    )
