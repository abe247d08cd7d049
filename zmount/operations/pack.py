"""Pack storages of a host: drop old revisions, and objects that nothing refers to.

1. choose:  what is named, or all whose file is on the host.
2. observe: sizes, disks, who serves or opens each.
3. plan:    how each is packed, and what cannot be; one at a time for each disk.
4. pack:    through the ZEO server, in the Zope, or from the file when nobody has
            it open. One failure does not stop the rest.
5. record:  an entry in the history for each.

A dry run computes what each pack would free, and changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

from zmount.effects.clock import Stopwatch, now
from zmount.effects.lanes import Lanes
from zmount.effects.lock import locked
from zmount.effects.pack_look import size_of
from zmount.effects.packing import Packing, garbage_kept, progress_since, report_of, report_since
from zmount.effects.signals import terminable
from zmount.errors import PackFailed, ZMountError
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.pack_look import look
from zmount.operations.pack_plan import Left, PackJob, PackWish, plan_pack
from zmount.operations.pack_ways import preview_of, way_of
from zmount.operations.packed import Packed, PackResult, failed, left_out, packed, would_be
from zmount.operations.recorded import Record, recorded, refusals_recorded
from zmount.topology.hosts import Host
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology

NUMBERS = (
    "result way days gc size_before size_after freed objects_dropped revisions_dropped "
    "blobs_removed commit_stall_s dangling_count unknown_records"
).split()
ABANDON_S = 15  # for packs to end that were told to


@dataclass(frozen=True, slots=True, kw_only=True)
class PackProgress:
    """How far ``job`` is: bytes, or whatever its ``phase`` counts, done and in all."""

    job: PackJob
    phase: str
    done: int
    total: int


Event: TypeAlias = PackJob | PackProgress | Packed
Watcher: TypeAlias = Callable[[Event], None]
"""Is told each job that takes a while when it begins, how far it is, and what became of all."""


def pack(topology: Topology, host: Host, wish: PackWish, watch: Watcher) -> PackResult:
    """Pack what is WISHed on HOST; what fails is in the result, not raised.

    :raises UnknownName: there is no such storage on HOST
    :raises Locked: another ``zmount pack`` is at work here
    """
    local = LocalProcesses(topology=topology, host=host)
    plan = plan_pack(look(local, wish.names), wish)
    run = _Run(local=local, wish=wish, watch=watch)
    left = [run.left_out(each) for each in plan.left]
    done: list[Packed] = []
    jobs = [job.storage.name for lane in plan.lanes for job in lane]
    with (
        terminable(),
        refusals_recorded(topology.file, host.name, "pack", () if wish.is_dry_run else jobs),
        _alone(host, is_needed=bool(jobs) and not wish.is_dry_run),
    ):
        done += run.results(plan.lanes)
    order = {storage.name: place for place, storage in enumerate(topology.storages)}
    found = sorted([*left, *done], key=lambda each: order[each.storage.name])
    return PackResult(host=host.name, is_dry_run=wish.is_dry_run, storages=tuple(found))


def _alone(host: Host, *, is_needed: bool) -> AbstractContextManager[Any]:
    """Let no second ``zmount pack`` work on HOST meanwhile; applying and starting may go on."""
    return locked(host.directory, name="pack-lock") if is_needed else nullcontext()


class _Run:
    """The packs of one call: those at work now, and how to end them."""

    def __init__(self, *, local: LocalProcesses, wish: PackWish, watch: Watcher) -> None:
        self._local = local
        self._wish = wish
        self._watch = watch
        self._now: dict[str, tuple[PackJob, Packing, float]] = {}
        self._told: set[str] = set()
        self._is_over = False
        self._guard = threading.Lock()

    def left_out(self, left: Left) -> Packed:
        """Return what becomes of a storage that is not even tried."""
        result = left_out(left)
        with self._recorded(left.storage, is_dry_run=result.error is None) as record:
            record.failed(result.error)
        self._watch(result)
        return result

    def results(self, lanes: tuple[tuple[PackJob, ...], ...]) -> Iterator[Packed]:
        """Yield what becomes of each job of LANES; interrupted, end all of them."""
        work = self._preview if self._wish.is_dry_run else self._pack
        running = Lanes(lanes, work)
        try:
            for result in running.results(self._tell_progress):
                self._watch(result)
                yield result
        except BaseException:
            running.begin_no_more()
            self._abandon()
            for result in running.last_results(ABANDON_S):
                self._watch(result)
            raise

    def _pack(self, job: PackJob) -> Packed:
        """Pack one storage; called in a thread of its lane's."""
        with self._recorded(job.storage) as record:
            result = self._packed(job)
            self._tell(record, result)
        return result

    def _packed(self, job: PackJob) -> Packed:
        watch, at = Stopwatch(), now()
        error: ZMountError | None = None
        try:
            packing = way_of(job, self._local)
        except ZMountError as why:
            return failed(job, why, at=at)
        data_fs = job.data_fs
        earlier = report_of(data_fs)
        keeping: AbstractContextManager[Any] = nullcontext()
        if job.asks_to_keep and data_fs is not None:
            keeping = garbage_kept(data_fs)
        try:
            with keeping:
                self._begin(job, packing, at)
                packing.run()
        except ZMountError as why:
            error = why
        finally:
            self._end(job)
        report = report_since(data_fs, at, earlier)
        return packed(
            job, report, at=at, seconds=watch.seconds, size_after=size_of(data_fs), error=error
        )

    def _preview(self, job: PackJob) -> Packed:
        watch, at = Stopwatch(), now()
        try:
            child = preview_of(job, self._local)
            self._begin(job, child, at)
            child.run()
        except ZMountError as why:
            return failed(job, why, at=at)
        finally:
            self._end(job)
        return would_be(job, child.report, seconds=watch.seconds)

    def _begin(self, job: PackJob, packing: Packing, at: float) -> None:
        with self._guard:
            if self._is_over:
                raise PackFailed("interrupted before it began")
            self._now[job.storage.name] = (job, packing, at)

    def _end(self, job: PackJob) -> None:
        with self._guard:
            self._now.pop(job.storage.name, None)

    def _at_work(self) -> list[tuple[PackJob, Packing, float]]:
        with self._guard:
            return list(self._now.values())

    def _abandon(self) -> None:
        """End what is at work, and let nothing begin."""
        with self._guard:
            self._is_over = True
        for _, packing, _ in self._at_work():
            packing.abandon()

    def _tell_progress(self) -> None:
        for job, _, at in self._at_work():
            if job.storage.name not in self._told:
                self._told.add(job.storage.name)
                self._watch(job)
            data_fs = job.data_fs
            found = progress_since(data_fs, at) if data_fs is not None else {}
            if found:
                self._watch(_progress(job, found))

    def _recorded(
        self, storage: Storage, *, is_dry_run: bool = False
    ) -> AbstractContextManager[Record]:
        topology, wish = self._local.topology, self._wish
        return recorded(
            topology.file,
            self._local.host.name,
            "pack",
            subjects=[storage.name],
            arguments={"days": wish.days, "no_gc": wish.keeps_garbage},
            dry_run=is_dry_run or wish.is_dry_run,
        )

    def _tell(self, record: Record, result: Packed) -> None:
        """Tell RECORD what became of its storage."""
        figures = result.as_json()
        record.numbers(**{name: figures[name] for name in NUMBERS})
        with self._guard:
            is_over = self._is_over
        if result.error is not None and is_over:
            record.interrupted(result.error)
        elif result.error is not None:
            record.failed(result.error)
        elif result.done == "nothing to free":
            record.nothing_to_do()


def _progress(job: PackJob, found: dict[str, Any]) -> PackProgress:
    return PackProgress(
        job=job,
        phase=str(found.get("phase", "")),
        done=int(found.get("done") or 0),
        total=int(found.get("total") or 0),
    )
