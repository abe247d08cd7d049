"""Whether a swap did what it should, as a new client and the instances see it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any

from zmount.effects.administrator_file import known_password
from zmount.effects.answers import ask_http
from zmount.effects.clock import ticks
from zmount.effects.raw_mounts import mounted_oids
from zmount.effects.raw_storages import open_files
from zmount.effects.stage_files import StageState
from zmount.effects.stage_moment import must_show
from zmount.effects.zeo_client import connected
from zmount.effects.zope_http import ZopeClient
from zmount.errors import SwapFailed, ZMountError
from zmount.operations.local_processes import LocalProcesses
from zmount.topology.instances import Instance, Replica
from zmount.topology.mounts import MountPoint
from zmount.topology.sites import Site
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology

ANSWER_S = 40.0  # an instance whose connection ended waits up to 30 s for a new one
SEEN_WITHIN_S = 10.0
# An anonymous visitor is refused this of any Zope object, but only after it was loaded: nothing
# of the site's own code runs, and nothing is committed. A page may write when it is looked at.
REFUSED = "manage_main"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """How the process ``name`` of an instance sees staging at ``path``.

    ``said`` is what it answers; ``is_right`` is False where that is not what staging
    holds; None: it does not run.
    """

    name: str
    path: str
    said: str
    is_right: bool | None

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "name": self.name,
            "path": self.path,
            "said": self.said,
            "is_right": self.is_right,
        }


def must_show_moment(
    site: Site, state: StageState, local: LocalProcesses, *, is_undone: bool
) -> None:
    """Compare what new clients read from the staging of SITE, now STATE, with production.

    IS_UNDONE if that is a content from before.

    :raises SwapFailed: it is something else, or older than the swap
    :raises StorageUnreadable: a storage is not to be had
    """
    staging, production = site.staging, site.production
    assert staging is not None
    with ExitStack() as stack:
        shown = stack.enter_context(closing(_opened(staging, local)))
        last: bytes = shown.lastTransaction()
        if last < state.floor:
            raise SwapFailed(
                f"{staging.name}: a new client is shown transaction 0x{last.hex()}, which is "
                f"older than the swap (0x{state.floor.hex()})",
                hint="zmount status; the ZEO server's log",
            )
        if not state.is_plain:
            live = stack.enter_context(closing(_opened(production, local)))
            # what comes back may have been changed before it was left
            since = state.base_tid if is_undone else state.floor
            must_show(shown, live, state.files[0], state.base_end, since)


def _opened(storage: Storage, local: LocalProcesses) -> Any:
    """Open STORAGE as a new client of its ZEO server, or its files where that is down."""
    server = storage.server
    if server is not None and local.ask(local.everywhere[server.name]).is_answering:
        addresses = (server.address_from(local.host),)
        return connected(storage, addresses, local.client_tls(server))
    return open_files(storage)


def points_of(storage: Storage, topology: Topology) -> tuple[MountPoint, ...]:
    """Return where instances show STORAGE."""
    return tuple(point for instance in topology.instances for point in _points(instance, storage))


def _points(instance: Instance, storage: Storage) -> tuple[MountPoint, ...]:
    mounts = (mount for mount in instance.mounts if mount.storage.name == storage.name)
    return tuple(point for mount in mounts for point in mount.points)


def instances_see(
    site: Site, before: Mapping[str, bytes | None], local: LocalProcesses
) -> tuple[Sight, ...]:
    """Return how the instances that mount the staging of SITE see it; none is restarted.

    :param before: what its mount points showed before the swap
    """
    staging = site.staging
    assert staging is not None
    after = mounted_oids(staging, points_of(staging, local.topology))
    return tuple(_sights(staging, before, after, local))


def _sights(
    staging: Storage,
    before: Mapping[str, bytes | None],
    after: Mapping[str, bytes | None],
    local: LocalProcesses,
) -> Iterator[Sight]:
    for replica in local.topology.replicas:
        points = _points(replica.instance, staging)
        if not points or replica.host.name != local.host.name:
            continue
        is_up = local.ask(local.everywhere[replica.name]).is_answering
        changed = any(before.get(str(each)) != after.get(str(each)) for each in points)
        why_not = _let_forget(replica, local) if is_up and changed else ""
        for point in points:
            if not is_up:
                said = "it does not run"
                yield Sight(name=replica.name, path=point.virtual, said=said, is_right=None)
            else:
                yield _sight(replica, point, after.get(str(point)) is not None, why_not, local)


def _let_forget(replica: Replica, local: LocalProcesses) -> str:
    """Let the mount points of REPLICA look for their objects again; return why they do not.

    Products.ZODBMountPoint finds a mount point's object once for each thread, and holds
    it as long as the mount point itself is in memory, whatever is in the database by
    then. A site that was made anew, or whose staging is another one now, has another oid.
    """
    administrator = local.topology.administrator
    address = local.address_of(local.everywhere[replica.name])
    try:
        password = known_password(administrator, local.host) if administrator else None
        if administrator is None or password is None:
            return "zmount knows no administrator who could let it look again"
        zope = ZopeClient(address, user=administrator.name, password=password.reveal())
        zope.minimize(replica.instance.root.name)
    except ZMountError as why:
        return str(why)
    return ""


def _sight(
    replica: Replica, point: MountPoint, is_there: bool, why_not: str, local: LocalProcesses
) -> Sight:
    seen = Sight(name=replica.name, path=point.virtual, said="", is_right=False)
    address = local.address_of(local.everywhere[replica.name])
    for _ in ticks(SEEN_WITHIN_S):
        answer = ask_http(address, f"{point.virtual}/{REFUSED}", timeout_s=ANSWER_S)
        is_shown = 0 < answer.status < 500 and (answer.status != 404) == is_there
        seen = replace(seen, said=answer.detail, is_right=is_shown)
        if is_shown or why_not:
            break
    if why_not:
        said = f"it may still show another object: {why_not}; zmount restart {replica.name}"
        return replace(seen, said=said, is_right=False)
    return seen


def refuse_blindness(sights: tuple[Sight, ...]) -> None:
    """Raise what an instance does not see.

    :raises SwapFailed: staging was replaced, and an instance does not show it
    """
    blind = [each for each in sights if each.is_right is False]
    if blind:
        one = blind[0]
        raise SwapFailed(
            f"{one.name} does not show the new staging at {one.path}: {one.said}",
            hint=f"zmount restart {one.name}",
        )
