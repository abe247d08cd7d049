"""How offline and online are recorded in the history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from zmount.operations.offlined import Offlined, OfflineWish, refuse_failures
from zmount.operations.recorded import recorded
from zmount.topology.hosts import Host
from zmount.topology.topology import Topology

_AS_BEFORE = ("was off-line", "was on-line")


@contextmanager
def sites_recorded(
    topology: Topology, host: Host, operation: str, wish: OfflineWish
) -> Iterator[Callable[[tuple[Offlined, ...]], tuple[Offlined, ...]]]:
    """Record OPERATION on WISH's site; yield what is told what came of it, and returns it."""
    with recorded(
        topology.file,
        host.name,
        operation,
        subjects=[wish.site, *wish.instances],
        arguments={"reason": wish.reason, "side": wish.side, "unmount": wish.unmounts},
        dry_run=wish.is_dry_run,
    ) as record:

        def tell(results: tuple[Offlined, ...]) -> tuple[Offlined, ...]:
            record.subjects(each.instance for each in results)
            record.plan(results)
            if all(each.result in _AS_BEFORE for each in results):
                record.nothing_to_do()
            record.judged_by(lambda: refuse_failures(results))
            return results

        yield tell
