"""A progress bar on standard error for each thing that is worked on, of its present phase."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import TaskID


@contextmanager
def bars() -> Iterator[Callable[[str, str, int, int], None]]:
    """Yield what to tell of a name: its phase, the bytes done and all of them; 0: not known.

    Another phase of it takes the bar's place, and so does another name: of a hundred
    things done one after the other a terminal would show only the first.
    Where there is no terminal nothing is shown. It may be called from any thread.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TransferSpeedColumn

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TransferSpeedColumn(),
    )
    shown = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    last: tuple[str, TaskID] | None = None
    guard = threading.Lock()

    def tell(name: str, phase: str, done: int, of: int) -> None:
        nonlocal last
        key = f"{name}  {phase}"
        with guard:
            if last is None or last[0] != key:
                if last is not None:
                    shown.remove_task(last[1])
                last = key, shown.add_task(key, total=of or None)
            shown.update(last[1], completed=done, total=of or None)

    with shown:
        yield tell
