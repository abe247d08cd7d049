"""Say of each mount of each instance whether it is right, and what to do if not.

1. ask:   each ZEO server once, all side by side, how it is.
2. read:  the records of each root, live or not, and what the mounted storages hold.
3. judge: each mount point, and what else in the root leads to another database.

Nothing is written, no lock is taken, no class of a database is imported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from zmount.effects.raw_attic import ATTIC
from zmount.effects.raw_contents import TIMEOUT_S, Contents, Servers, ask_servers
from zmount.effects.raw_found import FoundReference, found_near
from zmount.effects.raw_offline import StandIn
from zmount.effects.raw_reach import Lying, lying_below
from zmount.effects.raw_roots import Content, MountState, RawRoot, content_at
from zmount.effects.raw_search import found_anywhere
from zmount.effects.raw_storages import RawDatabases, data_fs, is_in_memory
from zmount.errors import StorageUnreadable, UnknownName
from zmount.operations.mount_problems import (
    CrossReference,
    Problem,
    cross_reference,
    found_problem,
    lost_stand_in,
    mount_problems,
    root_problems,
)
from zmount.operations.mount_reports import InstanceMounts, MountReport, Mounts
from zmount.operations.offline_facts import known_offline
from zmount.operations.without_unmounted import without_unmounted
from zmount.plan.offline import Offline
from zmount.topology.hosts import Host
from zmount.topology.instances import Instance, Replica
from zmount.topology.topology import Topology, nearest

Progress = Callable[[str], None]


def mounts(
    topology: Topology,
    host: Host,
    names: Iterable[str] = (),
    *,
    is_deep: bool = False,
    progress: Progress = lambda said: None,
    timeout_s: float = TIMEOUT_S,
) -> Mounts:
    """Return the state of every mount of HOST's instances, or of those that NAMES mean.

    IS_DEEP: look for mount points and references in all of each root. TOPOLOGY has what is
    unmounted as well: that is looked for in its root, its storage is not asked. TIMEOUT_S is
    how long all ZEO servers together may be silent.

    :raises UnknownName: a name is no instance, or one of another host
    """
    names = tuple(names)
    replicas = tuple(_replicas(topology, host, names))
    as_run = {
        each.instance.name: each for each in _replicas(without_unmounted(topology), host, names)
    }
    mounted = [(each, run) for run in as_run.values() for each in run.instance.mounts]
    servers = ask_servers(mounted, timeout_s=timeout_s)
    look = _Looks(
        servers=servers,
        contents=Contents(servers),
        offline=known_offline([host]),
        is_deep=is_deep,
        progress=progress,
    )
    return Mounts(
        host=host.name,
        instances=tuple(look.at(each, as_run[each.instance.name]) for each in replicas),
        shared_roots=_shared_roots(replicas),
    )


def _replicas(topology: Topology, host: Host, names: tuple[str, ...]) -> Iterator[Replica]:
    """Yield one process of each instance on HOST that NAMES mean; all without NAMES."""
    here: dict[str, Replica] = {}
    for replica in topology.replicas:
        if replica.host.name == host.name:
            here.setdefault(replica.instance.name, replica)
    own = {replica.name: replica.instance.name for replica in topology.replicas}
    meant = {own.get(name, name) for name in names}
    for name in sorted(meant - set(here)):
        instance = topology.instance(name)
        raise UnknownName(
            f"{name} runs on host {instance.hosts[0].name}, not on {host.name}",
            hint=nearest(name, here) or f"zmount --host {instance.hosts[0].name}, there",
        )
    yield from (replica for name, replica in here.items() if not meant or name in meant)


def _shared_roots(replicas: Iterable[Replica]) -> dict[str, tuple[str, ...]]:
    users: dict[str, tuple[str, ...]] = {}
    for replica in replicas:
        name = replica.instance.root.storage.name
        users[name] = (*users.get(name, ()), replica.instance.name)
    return {name: instances for name, instances in users.items() if len(instances) > 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looks:
    """What looks at several instances have in common."""

    servers: Servers
    contents: Contents
    offline: tuple[Offline, ...]
    is_deep: bool
    progress: Progress

    def at(self, replica: Replica, as_run: Replica) -> InstanceMounts:
        """Look at REPLICA, whose zope.conf has the mounts of AS_RUN."""
        name, mounted = replica.instance.name, as_run.instance.mounts
        contents = self.contents.of(as_run)
        away = {
            each.name
            for each in replica.instance.mounts
            if each not in mounted or self.servers.why_not(each, replica)
        }
        with RawDatabases(replica, away) as databases:
            look = _Look(replica, self.servers, contents, databases)
            look.remembered = {each.path: each for each in self.offline if each.instance == name}
            return InstanceMounts(
                instance=name,
                root=replica.instance.root.storage.name,
                mounts=tuple(look.reports(self.is_deep, self.progress)),
            )


class _Look:
    """A look at one instance."""

    def __init__(
        self,
        replica: Replica,
        servers: Servers,
        contents: Mapping[str, Content],
        databases: RawDatabases,
    ) -> None:
        self.replica = replica
        self.servers = servers
        self.contents = contents
        self.databases = databases
        self.remembered: Mapping[str, Offline] = {}  # what somebody took off-line, by path

    @property
    def instance(self) -> Instance:
        return self.replica.instance

    def reports(self, is_deep: bool, progress: Progress) -> Iterator[MountReport]:
        """Yield the root, each mount point, and what else was found."""
        root, is_readable = self._root()
        yield root
        if not is_readable:
            return  # a line for each mount would say the same
        try:
            states = RawRoot(self.instance.mounts, self.databases).mount_states(self.contents)
            found = self._found(is_deep, progress)
        except StorageUnreadable as why:
            yield _with_unreadable(root, why)
            return
        reported = {state.point.virtual for state in states}
        offline = {each.point.virtual: each.offline for each in states if each.offline is not None}
        yield from (_off_line_above(self._report(state), offline) for state in states)
        for each in found:
            is_aside = each.mounted_path is not None and each.path.startswith(f"{ATTIC}/")
            if each.path not in reported and not is_aside:
                reported.add(each.path)
                yield self._found_report(each)

    def _root(self) -> tuple[MountReport, bool]:
        """Return the root's report, and whether its records can be read."""
        mount = self.instance.root
        why_not = self.servers.why_not(mount, self.replica)
        content = Content(state="unknown")
        if data_fs(mount, self.replica) is not None or not why_not:
            content = self._root_content()
        report = MountReport(
            path="/",
            storage=mount.storage.name,
            problems=tuple(root_problems(self.instance, content, why_not)),
        )
        return report, content.state not in ("unknown", "damaged")

    def _root_content(self) -> Content:
        mount = self.instance.root
        try:
            database = self.databases.get(mount.name)
            if database is None:
                return Content(
                    state="damaged",
                    detail=f"only Zope can open {mount.storage.name}: it is no FileStorage",
                    hint="see it in Zope",
                )
            return content_at(database, next(point for point in mount.points if point.is_root))
        except StorageUnreadable as why:
            return Content(state="damaged", detail=str(why), hint=why.hint)

    def _report(self, seen: MountState) -> MountReport:
        cross = None
        if seen.state == "cross-database reference" and seen.found is not None:
            cross = cross_reference(self.instance, seen.found, self.contents)
        remembered = self.remembered.get(seen.point.virtual)
        is_unmounted = remembered is not None and remembered.is_unmounted
        problems = tuple(
            mount_problems(
                self.instance,
                seen,
                why_not="" if is_unmounted else self.servers.why_not(seen.mount, self.replica),
                lying=self._lying(seen),
                cross=cross,
            )
        )
        if remembered is not None:
            problems = tuple(lost_stand_in(self.instance, seen, remembered, problems))
        return MountReport(
            path=seen.point.virtual,
            storage=seen.mount.storage.name,
            problems=problems,
            offline=seen.offline,
            makes_missing=seen.makes_missing and not is_in_memory(seen.mount),
            is_unmounted=is_unmounted,
        )

    def _lying(self, seen: MountState) -> Lying | None:
        """Return what lies in a mount's place, with all below it."""
        if seen.state != "shadowed" or seen.found is None:
            return None
        database = self.databases.get(seen.holder)
        if database is None:
            return None
        holder = next(each for each in self.instance.mounts if each.name == seen.holder)
        blob_dir = holder.storage.blob_dir
        is_here = data_fs(holder, self.replica) is not None and blob_dir is not None
        return lying_below(
            database,
            seen.found.oid,
            above=seen.way,
            blob_dir=Path(blob_dir) if is_here and blob_dir is not None else None,
        )

    def _found(self, is_deep: bool, progress: Progress) -> tuple[FoundReference, ...]:
        database = self.databases.get(self.instance.root.name)
        if database is None:
            return ()
        if is_deep:
            return found_anywhere(database, lambda said: progress(f"{self.instance.name}: {said}"))
        points = (point for mount in self.instance.mounts for point in mount.points)
        ways = {point.virtual.rpartition("/")[0] for point in points}
        if self.instance.sandboxes is not None:
            ways.add(self.instance.sandboxes)
        return found_near(database, sorted(ways - {""}))

    def _found_report(self, found: FoundReference) -> MountReport:
        cross: CrossReference | None = None
        if found.mounted_path is None:
            cross = cross_reference(self.instance, found.reference, self.contents)
        holder = self.instance.root.storage.name
        return MountReport(
            path=found.path,
            storage="",
            problems=(found_problem(self.instance, found, holder, cross),),
            is_configured=False,
        )


def _off_line_above(report: MountReport, offline: Mapping[str, StandIn]) -> MountReport:
    """Return REPORT of a mount below one that is OFFLINE as off-line, too: nobody reaches it."""
    for path, said in offline.items():
        if report.path.startswith(f"{path}/"):
            return replace(report, offline=said, problems=())
    return report


def _with_unreadable(root: MountReport, why: StorageUnreadable) -> MountReport:
    """Return ROOT with what made it unreadable."""
    problem = Problem(
        state="unreadable",
        detail=str(why),
        advice=why.hint or "zmount verify says whether it is damaged",
        is_repairable=False,
    )
    return replace(root, problems=(*root.problems, problem))
