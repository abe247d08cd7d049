"""Put a site back that was taken off-line.

1. look:   which instances hold it off-line, and whether its storages hold its content.
2. change: each instance's root, one transaction; one that fails stops no other.
3. forget: that it was off-line.
4. verify: the root's records, and that visitors do not get 503 any more.
"""

from __future__ import annotations

from urllib.parse import quote

from zmount.effects.answers import ask_http
from zmount.effects.offline_state import offline_mounts, remember_offline
from zmount.effects.raw_roots import Content, content_at
from zmount.effects.raw_storages import RawDatabases
from zmount.effects.serving import is_served
from zmount.errors import OfflineFailed, StorageUnreadable
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.offline_look import look_again
from zmount.operations.offline_roots import (
    Voices,
    change,
    changeable,
    in_each,
    must_be_writable,
)
from zmount.operations.offlined import Look, Offlined, OfflineWish, Target, came_of
from zmount.operations.sites_recorded import sites_recorded
from zmount.plan.offline_steps import PutOnline
from zmount.topology.hosts import Host
from zmount.topology.topology import Topology
from zmount.topology.zeo import ZeoServer


def online(
    topology: Topology, host: Host, wish: OfflineWish, voices: Voices
) -> tuple[Offlined, ...]:
    """Put what WISH means back in all instances of HOST; failures are in the result.

    :raises UnknownName: there is no such site or instance, or it does not mount it here
    :raises Locked: another zmount is at work on this deployment
    :raises OfflineFailed: the list of what is off-line cannot be read
    """
    with sites_recorded(topology, host, "online", wish) as tell:
        return tell(
            in_each(topology, host, wish, lambda local, look: _put_back(local, look, wish, voices))
        )


def _put_back(
    local: LocalProcesses, look: Look, wish: OfflineWish, voices: Voices
) -> list[Offlined]:
    if look.unseen is not None:
        raise look.unseen
    out = [each for each in look.targets if each.state == "off-line"]
    results = [
        came_of(look, each, "was on-line") for each in look.targets if each.state != "off-line"
    ]
    if out:
        must_be_writable(look)
    for target in out:
        _must_be_served(look, target)
        must_hold_it(look, target)
    if wish.is_dry_run:
        return results + [came_of(look, each, "planned", detail="to be put back") for each in out]
    if out:
        with changeable(local, look, wish, voices) as reached:
            steps = [
                PutOnline(virtual=each.point.virtual, database=each.mount.name) for each in out
            ]
            needs = {name for each in out for name in (each.holder, each.mount.name)}
            note = f"zmount: {wish.site} on-line"
            change(local, reached, steps, needs=needs, note=note, voices=voices)
    _forget(local, look)
    if any(each.remembered is not None or each.state == "off-line" for each in look.targets):
        _verify(local, look_again(local, look))
    return results + [came_of(look, each, "on-line", detail=_since(each)) for each in out]


def _since(target: Target) -> str:
    return f"again; it was off-line {target.detail}"


def _must_be_served(look: Look, target: Target) -> None:
    """Refuse to let an instance that is up wait for a ZEO server that does not answer.

    :raises OfflineFailed: with the server's name
    """
    server = target.mount.storage.server
    if server is not None and look.way == "up" and not is_served(server, look.replica.host):
        raise _unknown(look, target, server)


def must_hold_it(look: Look, target: Target) -> None:
    """Refuse to show a storage that lacks the site, or cannot be read.

    :raises OfflineFailed: with what is wrong with it
    """
    name, storage = look.instance.name, target.mount.storage.name
    server = target.mount.storage.server
    content = _content(look, target)
    if content.state in ("empty", "missing"):
        held = ", ".join(content.holds) or "nothing"
        raise OfflineFailed(
            f"{name}: {target.point.virtual} stays off-line: the storage {storage} has no "
            f"{target.point.real}, it holds {held}",
            hint="restore its content, or correct the real path in mount-point",
        )
    if content.state == "unknown" and server is not None:
        raise _unknown(look, target, server)


def _unknown(look: Look, target: Target, server: ZeoServer) -> OfflineFailed:
    return OfflineFailed(
        f"{look.instance.name}: {target.point.virtual} stays off-line: the ZEO server "
        f"{server.name} does not answer, so nobody knows whether {target.mount.storage.name} "
        "holds the site",
        hint=f"zmount status {server.name}, zmount restart {server.name}",
    )


def _content(look: Look, target: Target) -> Content:
    try:
        with RawDatabases(look.replica) as databases:
            database = databases.get(target.mount.name)
            return (
                Content(state="unknown") if database is None else content_at(database, target.point)
            )
    except StorageUnreadable as why:
        raise OfflineFailed(
            f"{look.instance.name}: {target.point.virtual} stays off-line: {why}",
            hint=why.hint or f"zmount verify {target.mount.storage.name}",
        ) from None


def _verify(local: LocalProcesses, look: Look) -> None:
    """Read the root again, and ask as a visitor would.

    :raises OfflineFailed: the mount point is not what it should be, or visitors get 503
    """
    name = look.instance.name
    for target in look.targets:
        virtual = target.point.virtual
        if target.state not in ("ok", "unknown"):
            raise OfflineFailed(
                f"{name}: {virtual} is not off-line any more, but "
                + (f"{target.state} ({target.detail})" if target.detail else target.state),
                hint=f"zmount remount {name} {virtual}",
            )
        for seen in look.processes:
            if seen.answer is None or not seen.answer.is_answering:
                continue
            answer = ask_http(local.address_of(seen.process), quote(virtual), timeout_s=30)
            if answer.status in (0, 503):
                raise OfflineFailed(
                    f"{seen.process.name}: a visitor of {virtual} gets {answer.detail}",
                    hint=f"zmount spin {seen.process.name}, zmount offline takes it away again",
                )


def _forget(local: LocalProcesses, look: Look) -> None:
    gone = {target.point.virtual for target in look.targets}
    before = offline_mounts(local.host)
    kept = [each for each in before if each.instance != look.instance.name or each.path not in gone]
    if len(kept) != len(before):
        remember_offline(local.host, kept)
