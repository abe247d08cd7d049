"""Take a site off-line together with its database, and bring both back.

1. refuse: zmount.conf has changes that are not applied; they would come along.
2. stop:   the instances, for a database is opened or left out when a Zope starts.
3. change: their roots; zope.conf is written without the database, or with it again.
4. start:  those that ran.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from zmount.effects.lock import locked
from zmount.effects.offline_state import offline_mounts, remember_offline
from zmount.errors import ApplyRefused
from zmount.operations.apply import Wish, apply
from zmount.operations.changes import refuse_failures
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.offline import offline
from zmount.operations.offline_look import look_at_site
from zmount.operations.offline_roots import Voices, must_be_wished
from zmount.operations.offlined import Look, Offlined, OfflineWish
from zmount.operations.online import must_hold_it, online
from zmount.operations.plan_host import plan_host, what_is_wanted
from zmount.operations.process_names import with_needed
from zmount.operations.start import start_processes
from zmount.operations.stop import stop_processes
from zmount.operations.without_unmounted import without_unmounted
from zmount.topology.hosts import Host
from zmount.topology.topology import Topology

OPENED_AT_START = "it opens its databases, or leaves one out, only when it starts"
Act = Callable[[Topology, Host, OfflineWish, Voices], tuple[Offlined, ...]]


def offline_or_unmount(
    topology: Topology, host: Host, wish: OfflineWish, voices: Voices
) -> tuple[Offlined, ...]:
    """Take what WISH means off-line, and out of zope.conf where that is wished.

    :raises ZMountError: as :func:`offline`, and what keeps the files from being written
    """
    if not wish.unmounts or wish.is_dry_run:
        return offline(topology, host, wish, voices)
    return _with_files(topology, host, wish, voices, offline)


def online_or_mount(
    topology: Topology, host: Host, wish: OfflineWish, voices: Voices
) -> tuple[Offlined, ...]:
    """Put what WISH means back, and into zope.conf where it is not in it.

    :raises ZMountError: as :func:`online`, and what keeps the files from being written
    """
    looks = look_at_site(LocalProcesses(topology=topology, host=host), wish)
    if wish.is_dry_run or not any(_is_unmounted(look) for look in looks):
        return online(topology, host, wish, voices)
    for look in looks:
        for target in look.targets:
            must_hold_it(look, target)
    return _with_files(topology, host, wish, voices, _mounted_again)


def _mounted_again(
    topology: Topology, host: Host, wish: OfflineWish, voices: Voices
) -> tuple[Offlined, ...]:
    looks = look_at_site(LocalProcesses(topology=topology, host=host), wish)
    meant = {(look.instance.name, each.point.virtual) for look in looks for each in look.targets}
    with locked(host.directory):
        known = offline_mounts(host)
        remember_offline(
            host,
            [
                replace(each, is_unmounted=False) if (each.instance, each.path) in meant else each
                for each in known
            ],
        )
    _write_files(topology, host, voices)
    return online(topology, host, wish, voices)


def _with_files(
    topology: Topology, host: Host, wish: OfflineWish, voices: Voices, act: Act
) -> tuple[Offlined, ...]:
    """Do ACT while the instances are down, and write their files as they are to be then."""
    _refuse_other_changes(topology, host)
    looks = look_at_site(LocalProcesses(topology=topology, host=host), wish)
    for look in looks:
        if look.way != "down":
            must_be_wished(look, wish, voices, OPENED_AT_START)
    with _stopped(topology, host, looks, voices):
        results = act(topology, host, wish, voices)
        _write_files(topology, host, voices)
    return results


@contextmanager
def _stopped(
    topology: Topology, host: Host, looks: tuple[Look, ...], voices: Voices
) -> Iterator[None]:
    """Keep the instances of LOOKS down until the block ends; then start those that ran."""
    running = tuple(
        each.process for look in looks for each in look.processes if each.state != "stopped"
    )
    local = LocalProcesses(topology=without_unmounted(topology), host=host)
    with locked(host.directory):
        refuse_failures(stop_processes(local, running, voices.watch))
    try:
        yield
    finally:
        now = LocalProcesses(topology=without_unmounted(topology), host=host)
        names = {process.name for process in running}
        again = tuple(process for process in now.all if process.name in names)
        with locked(host.directory):
            started = start_processes(now, with_needed(again, now.all), voices.watch)
    refuse_failures(started)


def _write_files(topology: Topology, host: Host, voices: Voices) -> None:
    apply(without_unmounted(topology), host, Wish(prepares=False), voices.say)


def _refuse_other_changes(topology: Topology, host: Host) -> None:
    steps = plan_host(what_is_wanted(without_unmounted(topology), host)).file_steps
    if steps:
        raise ApplyRefused(
            f"{topology.file} has changes that are not applied: {steps[0].path}",
            hint="zmount apply",
        )


def _is_unmounted(look: Look) -> bool:
    return any(
        each.remembered is not None and each.remembered.is_unmounted for each in look.targets
    )
