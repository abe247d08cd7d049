"""Take a site off-line: visitors get 503 at its path and below, until it is put back.

1. look:   which instances mount it, how their roots can be changed. The site's storage is
           not read: it may be the reason.
2. record: since when, why and by whom, so that no restart and no apply puts it back.
3. change: each instance's root, one transaction; one that fails stops no other.
4. verify: the root's records, and what a visitor gets.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from urllib.parse import quote

from zmount.effects.answers import ask_http
from zmount.effects.clock import now
from zmount.effects.offline_state import offline_mounts, remember_offline, who
from zmount.effects.raw_offline import StandIn
from zmount.effects.zope_requests import requests_of
from zmount.errors import OfflineFailed, ZMountError
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.offline_look import look_again
from zmount.operations.offline_roots import (
    Voices,
    change,
    changeable,
    in_each,
    must_be_wished,
    must_be_writable,
    restart,
)
from zmount.operations.offlined import Look, Offlined, OfflineWish, Target, came_of
from zmount.operations.request_paths import mount_of_path
from zmount.operations.sites_recorded import sites_recorded
from zmount.plan.offline import Offline
from zmount.plan.offline_steps import TakeOffline
from zmount.topology.hosts import Host
from zmount.topology.instances import Replica
from zmount.topology.processes import Process
from zmount.topology.topology import Topology

NOT_THERE = "zmount-is-not-there"  # a name below the site that nothing has


def offline(
    topology: Topology, host: Host, wish: OfflineWish, voices: Voices
) -> tuple[Offlined, ...]:
    """Take what WISH means off-line in all instances of HOST; failures are in the result.

    :raises UnknownName: there is no such site or instance, or it does not mount it here
    :raises Locked: another zmount is at work on this deployment
    :raises OfflineFailed: the list of what is off-line cannot be read
    """
    with sites_recorded(topology, host, "offline", wish) as tell:
        return tell(
            in_each(topology, host, wish, lambda local, look: _take(local, look, wish, voices))
        )


def _planned(look: Look, target: Target) -> Offlined:
    if target.state == "off-line":
        return came_of(look, target, "was off-line", detail=target.detail)
    how = {
        "up": "by its agent",
        "down": "while it is down",
        "restart": "by a restart, for it does not answer",
    }[look.way]
    return came_of(look, target, "planned", detail=f"to be taken off-line {how}")


def _take(
    local: LocalProcesses, look: Look, wish: OfflineWish, voices: Voices
) -> Iterator[Offlined]:
    if wish.is_dry_run:
        yield from (_planned(look, target) for target in look.targets)
        return
    if any(target.state != "off-line" for target in look.targets):
        must_be_writable(look)
    if look.unseen is not None and look.way == "up":
        raise look.unseen
    if look.way == "restart" and any(each.state != "off-line" for each in look.targets):
        must_be_wished(look, wish, voices)
        wish = replace(wish, restarts=True)
    before = offline_mounts(local.host)
    taken = tuple(_offline(look, target, wish) for target in look.targets)
    others = [each for each in before if not _is_one_of(each, taken)]
    remember_offline(local.host, (*others, *taken))
    to_do = [
        TakeOffline(offline=each)
        for each, target in zip(taken, look.targets, strict=True)
        if target.state != "off-line"
    ]
    if to_do:
        try:
            with changeable(local, look, wish, voices) as reached:
                needs = {target.holder for target in look.targets}
                note = f"zmount: {wish.site} off-line"
                change(local, reached, to_do, needs=needs, note=note, voices=voices)
        except ZMountError:
            if any(each.state != "off-line" for each in look_again(local, look).targets):
                remember_offline(local.host, before)
            raise
    notes = (*_shared(look), *_still_at_it(local, look, wish, voices))
    verify_offline(local, look_again(local, look))
    for target in look.targets:
        if target.state == "off-line":
            yield came_of(look, target, "was off-line", detail=target.detail, notes=notes)
        else:
            yield came_of(look, target, "off-line", notes=notes)


def _offline(look: Look, target: Target, wish: OfflineWish) -> Offline:
    """Return what is remembered of TARGET: new, or what it says itself if it is off-line."""
    said = target.stand_in or StandIn(
        since=dt.datetime.fromtimestamp(now()).astimezone().isoformat(timespec="seconds"),
        reason=wish.reason,
        by=who(),
        site=wish.site,
    )
    return Offline(
        instance=look.instance.name,
        path=target.point.virtual,
        site=wish.site,
        storage=target.mount.storage.name,
        since=said.since,
        reason=said.reason,
        by=said.by,
        is_unmounted=wish.unmounts
        or (target.remembered is not None and target.remembered.is_unmounted),
    )


def _is_one_of(one: Offline, others: Sequence[Offline]) -> bool:
    return any((one.instance, one.path) == (each.instance, each.path) for each in others)


def verify_offline(local: LocalProcesses, look: Look) -> None:
    """Read the root again, and ask as a visitor would.

    :raises OfflineFailed: something of the site is still shown
    """
    name = look.instance.name
    for target in look.targets:
        if target.state not in ("off-line", "unknown"):
            raise OfflineFailed(f"{name}: {target.point.virtual} is {target.state} after all")
        for seen in look.processes:
            if seen.answer is not None and seen.answer.is_answering:
                _must_be_gone(local, seen.process, target.point.virtual)


def _must_be_gone(local: LocalProcesses, process: Process, virtual: str) -> None:
    for path in (virtual, f"{virtual}/{NOT_THERE}"):
        answer = ask_http(local.address_of(process), quote(path), timeout_s=10)
        if answer.status != 503:
            raise OfflineFailed(
                f"{process.name}: a visitor of {path} gets {answer.detail}, not 503",
                hint=f"zmount spin {process.name}, if it does not answer; "
                f"zmount mounts {process.name}",
            )


def _shared(look: Look) -> Iterator[str]:
    """Tell of mount points that lie in a storage which other instances show as well."""
    for target in look.targets:
        if target.holder != look.instance.root.name:
            yield (
                f"{target.point.virtual} lies in {target.holder}: it is off-line in every "
                "instance that mounts that"
            )


def _still_at_it(
    local: LocalProcesses, look: Look, wish: OfflineWish, voices: Voices
) -> tuple[str, ...]:
    """Tell of threads that go on with what they had begun, and restart where that is wished."""
    if look.way != "up":
        return ()
    notes = []
    for seen in look.processes:
        count = _threads_at(seen.process, seen.pid, look)
        if count and wish.restarts:
            restart(local, (seen.process,), voices)
            were = "was" if count == 1 else "were"
            notes.append(f"{seen.process.name} was restarted: {count} of its threads {were} at it")
        elif count:
            work = "works" if count == 1 else "work"
            notes.append(
                f"{seen.process.name}: {count} of its threads still {work} on it; zmount spin "
                f"{seen.process.name} shows at what, zmount restart {seen.process.name} ends it"
            )
    return tuple(notes)


def _threads_at(process: Process, pid: int | None, look: Look) -> int:
    assert isinstance(process.noun, Replica)
    paths = {target.point.virtual for target in look.targets}
    requests = requests_of(process.noun, pid) or ()
    found = (mount_of_path(each.path, look.instance.mounts) for each in requests)
    return sum(each is not None and each[1].virtual in paths for each in found)
