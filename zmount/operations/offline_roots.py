"""Changing the mount points of a site in a root, whatever its instance is doing.

An instance that answers does it itself. One that is down has it done by its Zope, which
opens no database but those that the change needs. One that is up and does not answer is
stopped first, by ``kill -9`` where it does not end, and started again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

from zmount.effects.lock import locked
from zmount.effects.raw_storages import is_read_only
from zmount.errors import OfflineFailed, ZMountError
from zmount.operations.changes import Change, Watcher, refuse_failures
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.offline_look import look_again, look_at_site
from zmount.operations.offlined import Look, Offlined, OfflineWish, came_of
from zmount.operations.process_names import with_needed
from zmount.operations.root_changes import change_root, change_root_without
from zmount.operations.start import start_processes
from zmount.operations.stop import stop_processes
from zmount.operations.without_unmounted import without_unmounted
from zmount.plan.root_steps import RootStep
from zmount.topology.hosts import Host
from zmount.topology.processes import Process
from zmount.topology.topology import Topology

CHANGED_DOWN = "its root can only be changed while it is stopped"
Say = Callable[[str], None]
Ask = Callable[[str], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Voices:
    """Who is told what is done: lines, and the processes that are stopped and started.

    ``ask`` lets a person decide; None where there is none.
    """

    say: Say
    watch: Watcher
    ask: Ask | None = None


def in_each(
    topology: Topology,
    host: Host,
    wish: OfflineWish,
    act: Callable[[LocalProcesses, Look], Iterable[Offlined]],
) -> tuple[Offlined, ...]:
    """Do ACT in each instance of HOST that WISH means; one that fails stops no other.

    :raises UnknownName: there is no such site or instance, or it does not mount it here
    :raises Locked: another zmount is at work on this deployment
    :raises OfflineFailed: the list of what is off-line cannot be read
    """
    local = LocalProcesses(topology=topology, host=host)
    results: list[Offlined] = []
    with nullcontext() if wish.is_dry_run else locked(host.directory):
        for look in look_at_site(local, wish):
            try:
                results += tuple(act(local, look))
            except ZMountError as why:
                results += (came_of(look, each, "failed", error=why) for each in look.targets)
    return tuple(results)


def change(
    local: LocalProcesses,
    look: Look,
    steps: Sequence[RootStep],
    *,
    needs: Collection[str],
    note: str,
    voices: Voices,
) -> None:
    """Do STEPS in the root of LOOK's instance; the Zope of one that is down opens NEEDS.

    The caller holds the deployment's lock.

    :raises OfflineFailed: a step was refused; nothing of it was done
    :raises ZMountError: the root could not be changed
    """
    if look.way == "up":
        came = change_root(local, look.instance, steps, note=note, say=voices.say)
    else:
        names = {mount.name for mount in look.instance.mounts}
        came = change_root_without(
            local,
            look.instance,
            steps,
            note=note,
            without=names - set(needs) - {look.instance.root.name},
            say=voices.say,
        )
    if came.refused:
        whys = "; ".join(came.refused.values())
        raise OfflineFailed(
            f"{look.instance.name}: {whys}",
            hint=f"zmount mounts {look.instance.name} shows what is there",
        )


@contextmanager
def changeable(
    local: LocalProcesses, look: Look, wish: OfflineWish, voices: Voices
) -> Iterator[Look]:
    """Yield LOOK's instance in a state in which its root can be changed.

    One that is up and does not answer is stopped for it, where that is wished, and
    started again in any case.

    :raises OfflineFailed: it would have to be stopped, and nobody said so
    :raises ProcessFailed: it could not be stopped, or does not start again
    """
    if look.way != "restart":
        yield look
        return
    must_be_wished(look, wish, voices)
    running = tuple(each.process for each in look.processes if each.state != "stopped")
    as_run = replace(local, topology=without_unmounted(local.topology))
    refuse_failures(stop_processes(local, running, voices.watch))
    try:
        yield look_again(local, look)
    finally:
        restarted = _start(as_run, running, voices)
    refuse_failures(change for change in restarted if not change.process.is_zeo)


def restart(local: LocalProcesses, processes: Sequence[Process], voices: Voices) -> None:
    """Stop PROCESSES and start them again.

    :raises ProcessFailed: one could not be stopped, or does not start again
    """
    refuse_failures(stop_processes(local, processes, voices.watch))
    as_run = replace(local, topology=without_unmounted(local.topology))
    refuse_failures(_start(as_run, processes, voices))


def _start(
    local: LocalProcesses, processes: Sequence[Process], voices: Voices
) -> tuple[Change, ...]:
    """Start PROCESSES as LOCAL's topology has them, and what they need."""
    names = {process.name for process in processes}
    chosen = tuple(process for process in local.all if process.name in names)
    return start_processes(local, with_needed(chosen, local.all), voices.watch)


def must_be_writable(look: Look) -> None:
    """Refuse to change what lies in a storage that is opened read-only.

    :raises OfflineFailed: with the storage
    """
    mounts = {mount.name: mount for mount in look.instance.mounts}
    for target in look.targets:
        holder = mounts[target.holder]
        if is_read_only(holder):
            raise OfflineFailed(
                f"{look.instance.name}: {target.point.virtual} lies in {holder.storage.name}, "
                "which is read-only: nothing of it can be changed",
                hint="take read-only out of zmount.conf, zmount apply, zmount restart; or answer "
                "503 in the web server before it",
            )


def must_be_wished(look: Look, wish: OfflineWish, voices: Voices, why: str = CHANGED_DOWN) -> None:
    """Refuse to stop an instance that nobody wished to be stopped; WHY says what it needs it for.

    :raises OfflineFailed: with the option that says so
    """
    name = look.instance.name
    up = [each for each in look.processes if each.is_up or each.state == "restarting"]
    states = ", ".join(f"{each.process.name} is {each.state}" for each in up)
    if wish.restarts or (voices.ask is not None and voices.ask(f"{states}. Restart {name}?")):
        return
    raise OfflineFailed(
        f"{states}: {why}",
        hint=f"--restart stops it, by kill -9 where it does not end, and starts it again; "
        f"zmount spin {name} shows what it does",
    )
