"""Looking at the mount points of a site, before it goes off-line or comes back.

Only the root is read: the site's own storage may be what is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from zmount.effects.offline_state import offline_mounts
from zmount.effects.raw_offline import stand_in
from zmount.effects.raw_roots import RawRoot
from zmount.effects.raw_storages import RawDatabases
from zmount.errors import StorageUnreadable, UnknownName
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.offlined import Look, OfflineWish, Target
from zmount.operations.status import ProcessStatus, observe_process
from zmount.topology.instances import Instance, Replica
from zmount.topology.mounts import Mount, MountPoint
from zmount.topology.processes import Process
from zmount.topology.sites import Site
from zmount.topology.topology import nearest


def look_at_site(local: LocalProcesses, wish: OfflineWish) -> tuple[Look, ...]:
    """Return each instance of this host that mounts what WISH means.

    :raises UnknownName: there is no such site or instance, or it does not mount it here
    :raises OfflineFailed: the list of what is off-line cannot be read
    """
    site = local.topology.site(wish.site)
    for name in wish.instances:
        local.topology.instance(name)  # refuses a name that is none
    looks = tuple(
        _look(local, instance, points)
        for instance in local.topology.instances
        if (not wish.instances or instance.name in wish.instances)
        and local.host in instance.hosts
        and (points := tuple(_points(instance, site, wish)))
    )
    missing = [
        name for name in wish.instances if name not in {each.instance.name for each in looks}
    ]
    if missing or not looks:
        raise _not_mounted(local, site, wish, missing)
    return looks


def look_again(local: LocalProcesses, look: Look) -> Look:
    """Return LOOK as it is now."""
    return _look(local, look.instance, tuple((each.mount, each.point) for each in look.targets))


def _points(
    instance: Instance, site: Site, wish: OfflineWish
) -> Iterator[tuple[Mount, MountPoint]]:
    sides = {"production": site.production, "staging": site.staging}
    meant = [
        storage.name
        for side, storage in sides.items()
        if storage is not None and wish.side in (None, side)
    ]
    for mount in instance.mounts:
        if mount.storage.name in meant:
            for point in mount.points:
                if not point.is_root:
                    yield mount, point


def _look(
    local: LocalProcesses, instance: Instance, points: tuple[tuple[Mount, MountPoint], ...]
) -> Look:
    here = [each for each in local.all if _is_of(each, instance)]
    replica = here[0].noun
    assert isinstance(replica, Replica)
    remembered = {
        each.path: each for each in offline_mounts(local.host) if each.instance == instance.name
    }
    unseen: StorageUnreadable | None = None
    try:
        with RawDatabases(replica) as databases:
            root = RawRoot(instance.mounts, databases)
            targets = [_target(root, mount, point) for mount, point in points]
    except StorageUnreadable as why:
        unseen = why
        targets = [_unknown(instance, mount, point) for mount, point in points]
    return Look(
        instance=instance,
        replica=replica,
        processes=tuple(_status(local, process) for process in here),
        targets=tuple(
            replace(each, remembered=remembered.get(each.point.virtual)) for each in targets
        ),
        unseen=unseen,
    )


def _is_of(process: Process, instance: Instance) -> bool:
    return isinstance(process.noun, Replica) and process.noun.instance.name == instance.name


def _status(local: LocalProcesses, process: Process) -> ProcessStatus:
    """Return how PROCESS is; one that its manager has lost is asked, too."""
    seen = observe_process(process, local)
    if seen.is_up and seen.answer is None:
        return replace(seen, answer=local.ask(process))
    return seen


def _target(root: RawRoot, mount: Mount, point: MountPoint) -> Target:
    state, detail = root.state(point.virtual)
    spot = root.spot(point.virtual)
    return Target(
        mount=mount,
        point=point,
        state=state,
        detail=detail,
        holder=spot.holder,
        stand_in=stand_in(spot.record),
    )


def _unknown(instance: Instance, mount: Mount, point: MountPoint) -> Target:
    return Target(mount=mount, point=point, state="unknown", detail="", holder=instance.root.name)


def _not_mounted(
    local: LocalProcesses, site: Site, wish: OfflineWish, missing: list[str]
) -> UnknownName:
    what = f"the {wish.side} of {site.name}" if wish.side else f"the site {site.name}"
    mounting = [each.name for each in local.topology.instances if any(_points(each, site, wish))]
    if missing and mounting:
        return UnknownName(
            f"{what} is not mounted by {', '.join(missing)} on host {local.host.name}",
            hint=f"it is mounted by {', '.join(mounting)}",
        )
    if mounting:
        hosts = {
            host.name
            for each in local.topology.instances
            if each.name in mounting
            for host in each.hosts
        }
        return UnknownName(
            f"{what} is mounted by no instance on host {local.host.name}",
            hint=f"zmount --host {sorted(hosts)[0]}, on that machine",
        )
    names = [each.name for each in local.topology.sites]
    return UnknownName(
        f"{what} is mounted by no instance", hint=nearest(site.name, names) or "zmount show"
    )
