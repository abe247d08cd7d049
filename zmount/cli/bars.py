"""Progress bars on standard error: one for each thing that is worked on, and its phase."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bars() -> Iterator[Callable[[str, str, int, int], None]]:
    """Yield what to tell of a name: its phase, the bytes done and all of them; 0: not known.

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
    tasks: dict[str, object] = {}

    def tell(name: str, phase: str, done: int, of: int) -> None:
        key = f"{name}  {phase}"
        if key not in tasks:
            tasks[key] = shown.add_task(key, total=of or None)
        shown.update(tasks[key], completed=done, total=of or None)  # type: ignore[arg-type]

    with shown:
        yield tell
