"""How plans and differences look to an administrator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich.text import Text

from zmount.operations.applied import Applied
from zmount.operations.diff_config import ConfigDiff
from zmount.plan.difference import Difference
from zmount.plan.plan import Conflict, Plan
from zmount.plan.steps import MakeDirectory
from zmount.sizes import counted

STYLES = {"+": "green", "-": "red", "@": "cyan"}


def applied_text(done: Applied) -> Text:
    """Return what apply or undo did, or would do, and what to do next."""
    lines = [*done.recovered]
    if done.plan.changes_anything:
        lines.append(done.plan.title + (", if it were not a dry run" if done.is_dry_run else ""))
        lines += [f"  {step}" for step in done.plan.file_steps]
        lines += _directories(done.plan, full=False)
    elif not done.recovered:
        lines.append("nothing to do: every file is as it should be")
    if done.prepared is not None and done.prepared.is_changed:
        lines.append(str(done.prepared))
    lines += [f"warning: {warning}" for warning in done.plan.warnings]
    if done.plan.undoes:
        lines.append("zmount.conf stays as it is: zmount apply would write all this again")
    if done.activation:
        lines.append(f"schedules changed; this lets them begin: {done.activation}")
    lines += [
        f"not in zmount.conf any more: {job}"
        for job in done.left_behind
        if job.forget != done.activation
    ]
    if done.outdated:
        names = " ".join(done.outdated)
        lines.append(f"still running with what was before: zmount restart {names}")
    return Text("\n".join(lines))


def diff_text(found: ConfigDiff, *, full: bool) -> Text:
    """Return what apply would change: new files in short, unless FULL."""
    text = Text()
    if found.is_interrupted:
        text.append("an apply was interrupted; the next one finishes or undoes it first\n", "bold")
    for line in _directories(found.plan, full=full):
        text.append(line.strip() + "\n")
    for difference in found.differences:
        text.append(f"{difference.summary}\n", "bold")
        if full or not difference.is_new:
            text.append_text(_lines(difference.lines))
        else:
            text.append(f"  {counted(len(difference.lines), 'line')} (--full shows them)\n")
    for conflict in found.plan.conflicts:
        text.append(f"refused: {conflict}\n", "bold red")
        text.append_text(_lines(_of(conflict, found.conflicts)))
    for warning in found.plan.warnings:
        text.append(f"warning: {warning}\n", "yellow")
    if found.is_empty:
        text.append("nothing would change: every file is as the topology says\n")
    text.rstrip()
    return text


def _directories(plan: Plan, *, full: bool) -> Iterator[str]:
    steps = plan.directory_steps
    if full or len(steps) <= 3:
        yield from (f"  {step}" for step in steps)
    else:
        first, last = steps[0].path, steps[-1].path
        if isinstance(steps[0], MakeDirectory):
            yield f"  make {len(steps)} directories, from {first} to {last}"
        else:
            yield f"  remove {len(steps)} directories if they are empty, from {first} to {last}"


def _lines(lines: Iterable[str]) -> Text:
    text = Text()
    for line in lines:
        is_header = line.startswith(("--- ", "+++ "))
        text.append(line + "\n", "bold" if is_header else STYLES.get(line[:1], ""))
    return text


def _of(conflict: Conflict, differences: Iterable[Difference]) -> tuple[str, ...]:
    return next((d.lines for d in differences if d.path == conflict.path), ())
