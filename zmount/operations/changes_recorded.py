"""How start, stop and restart are recorded in the history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from zmount.effects.history import Scalar
from zmount.operations.changes import Change, refuse_failures
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.recorded import recorded
from zmount.topology.processes import Process

_AS_BEFORE = ("was running", "was not running")


@contextmanager
def changes_recorded(
    local: LocalProcesses,
    operation: str,
    chosen: Sequence[Process],
    *,
    arguments: Mapping[str, Scalar] | None = None,
) -> Iterator[Callable[[tuple[Change, ...]], tuple[Change, ...]]]:
    """Record OPERATION on CHOSEN; yield what is told what became of each, and returns it."""
    names = [process.name for process in chosen]
    with recorded(
        local.topology.file, local.host.name, operation, subjects=names, arguments=arguments
    ) as record:

        def tell(changes: tuple[Change, ...]) -> tuple[Change, ...]:
            record.subjects(
                change.process.name for change in changes if change.done not in _AS_BEFORE
            )
            record.plan(changes)
            if all(change.done in _AS_BEFORE for change in changes):
                record.nothing_to_do()
            record.judged_by(lambda: refuse_failures(changes))
            return changes

        yield tell
