"""``zmount pack``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from zmount.cli.app import App
from zmount.cli.completing import storage_names
from zmount.cli.options import dry_run_option

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress, Task, TaskID

    from zmount.operations.pack import Event, Watcher
    from zmount.operations.packed import Packed, PackResult

_COLOURS = {"failed": "red", "skipped": "yellow", "nothing to free": "dim"}


@click.command("pack")
@click.argument("storages", nargs=-1, metavar="[STORAGE]...", shell_complete=storage_names)
@click.option("--all", "is_all", is_flag=True, help="All storages of this host.")
@click.option(
    "--days",
    type=click.FloatRange(min=0),
    metavar="N",
    help="Keep N days of history [default: each storage's pack-days].",
)
@click.option(
    "--no-gc", is_flag=True, help="Drop old revisions only; keep objects that nothing refers to."
)
@dry_run_option
@click.pass_obj
def pack(
    app: App,
    storages: tuple[str, ...],
    is_all: bool,
    days: float | None,
    no_gc: bool,
    dry_run: bool,
) -> None:
    """Pack storages: drop old revisions, and objects that nothing refers to any more.

    A storage that is served is packed by its ZEO server, while it is used; one
    that nobody has open is packed from its file. Storages on one disk are packed
    one after the other, disks side by side. How much history is kept, and whether
    garbage is, each storage's pack-days and pack-gc say. With --dry-run, what it
    would free is computed, not guessed.

    Exit status 17: not every storage was packed, or something was left to do after
    one was; the others are packed.

    \b
    Examples:
      zmount pack --all
      zmount pack pub/example.org --days 30 --dry-run
    """
    from zmount.operations.pack import pack
    from zmount.operations.pack_plan import PackWish

    if is_all == bool(storages):
        raise click.UsageError("name STORAGEs, or say --all")
    wish = PackWish(names=storages, days=days, keeps_garbage=no_gc, is_dry_run=dry_run)
    with _progress() as watch:
        result = pack(app.topology, app.host, wish, watch)
    app.show(_table(result), result.as_json())
    result.refuse_failures()


@contextmanager
def _progress() -> Iterator[Watcher]:
    """Yield what to tell of each pack: bars on a terminal, else a line for each at its end."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[rate]}"),
    )
    is_idle = not console.is_terminal  # it would print an empty line
    with Progress(*columns, console=console, transient=True, disable=is_idle) as bars:
        yield _Bars(bars, console).watch


class _Bars:
    """A bar for each storage that is being packed; a phase begins the bar anew."""

    def __init__(self, bars: Progress, console: Console) -> None:
        self._bars = bars
        self._console = console
        self._tasks: dict[str, tuple[str, TaskID]] = {}

    def watch(self, event: Event) -> None:
        from zmount.operations.pack import PackProgress
        from zmount.operations.packed import Packed

        if isinstance(event, Packed):
            self._remove(event.storage.name)
            self._console.print(_line(event), style=_colour(event), markup=False)
        elif isinstance(event, PackProgress):
            task = self._task(event.job.storage.name, event.phase)
            self._bars.update(task, completed=event.done, total=event.total or None)
            self._bars.update(task, rate=_rate(self._bars.tasks, task, event.phase))
        else:
            self._task(event.storage.name, "")

    def _task(self, name: str, phase: str) -> TaskID:
        known, task = self._tasks.get(name, (None, None))
        if task is None or known != phase:
            self._remove(name)
            task = self._bars.add_task(f"{name}  {phase}".rstrip(), total=None, rate="")
            self._tasks[name] = (phase, task)
        return task

    def _remove(self, name: str) -> None:
        _, task = self._tasks.pop(name, ("", None))
        if task is not None:
            self._bars.remove_task(task)


def _rate(tasks: Iterable[Task], id_: TaskID, phase: str) -> str:
    """Return the speed of a bar; a mark counts objects, all other phases bytes."""
    speed = next((each.speed for each in tasks if each.id == id_), None)
    if speed is None:
        return ""
    return f"{speed:,.0f} objects/s" if phase == "mark" else f"{_size(int(speed))}/s"


def _colour(one: Packed) -> str:
    if one.error is not None and one.done != "failed":
        return "yellow"
    return _COLOURS.get(one.done, "green")


def _line(one: Packed) -> str:
    name = one.storage.name
    if one.done == "failed":
        return f"{name} failed: {one.error}"
    if one.freed_bytes is None or one.done in ("skipped", "nothing to free"):
        return f"{name}: {one.done}" + "".join(f": {note}" for note in one.notes[:1])
    freed = f"{name}: {one.done}, {_size(one.freed_bytes)} freed in {_seconds(one.seconds)}"
    return freed if one.error is None else f"{freed}; {one.error}"


def _table(result: PackResult) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    # where it is too wide for a terminal, the names are folded and no number
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="bold")
    table.add_column("storage", overflow="fold", min_width=8)
    table.add_column("", min_width=7)
    numbers = ["before", "after", "freed", "objects", "revisions", "time"]
    for heading in [*numbers, *([] if result.is_dry_run else ["stall"])]:
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("by", no_wrap=True)
    for one in result.storages:
        stall = [] if result.is_dry_run else [_stall(one.commit_stall_s)]
        table.add_row(
            Text(one.storage.name),
            Text(one.done, style=_colour(one)),
            _size(one.size_before),
            _size(one.size_after),
            _size(one.freed_bytes),
            _number(one.objects_dropped),
            _number(one.revisions_dropped),
            _seconds(one.seconds),
            *stall,
            one.way or "",
        )
    notes = [Text(f"{one.storage.name}: {note}") for one in result.storages for note in _notes(one)]
    return Group(table, *notes) if notes else table


def _notes(one: Packed) -> Iterator[str]:
    yield from one.notes
    if one.blobs_removed:
        yield f"blobs removed: {one.blobs_removed}"
    for oid, holder in one.dangling:
        who = f"object {holder}" if holder is not None else "another database"
        yield f"{who} refers to object {oid}, which does not exist"
    if one.dangling_count > len(one.dangling):
        yield f"{one.dangling_count:,} references in all lead nowhere"
    if one.unknown_records:
        yield f"records that only ZODB's own referencesf could read: {one.unknown_records}"


def _size(size_bytes: int | None) -> str:
    from rich.filesize import decimal

    if size_bytes is None:
        return ""
    return decimal(size_bytes) if size_bytes >= 0 else f"-{decimal(-size_bytes)}"


def _number(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f} s"


def _stall(seconds: float | None) -> str:
    return "" if seconds is None else f"{1000 * seconds:.0f} ms"
