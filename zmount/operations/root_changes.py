"""Changing the root of an instance, up or down, by the same steps.

An instance that answers does them itself, through its agent; one that is down has
them done by its own Zope, in a process for it alone, with its ZEO servers. All
steps are one transaction: they are done or nothing is.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from zmount.effects.credentials import administrator_client
from zmount.effects.file_lock import writer
from zmount.effects.process_table import listener
from zmount.effects.raw_storages import data_fs
from zmount.effects.serving import served
from zmount.effects.zope_script import run_in_zope
from zmount.errors import Locked
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.status import is_process
from zmount.plan.root_steps import RootStep
from zmount.topology.instances import Instance, Replica
from zmount.topology.processes import Process
from zmount.topology.zeo import ZeoServer

Progress = Callable[[str], None]
Spelled = Callable[[RootStep], dict[str, Any]]  # a step as the agent reads it


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What came of steps: those done, those refused with the reason, and answers.

    A step that is in neither of the first two had nothing to do.
    """

    done: tuple[RootStep, ...]
    refused: Mapping[RootStep, str]
    answers: Mapping[RootStep, Any]


def change_root(
    local: LocalProcesses,
    instance: Instance,
    steps: Sequence[RootStep],
    *,
    note: str,
    say: Progress,
    spelled: Spelled = lambda step: step.as_json(),
) -> Changed:
    """Do STEPS in INSTANCE's root, as one transaction that NOTE describes.

    :raises AccessRefused: it is up, and does not let the administrator in
    :raises Locked: it is up, and does not answer
    :raises ProcessFailed: it is up, and has no agent or cannot do it
    :raises PrepareFailed: it is down, and its Zope could not do it
    """
    plan: dict[str, Any] = {"note": note, "steps": [spelled(step) for step in steps]}
    process = answering(local, instance)
    if process is not None:
        address = local.address_of(process)
        client = administrator_client(local.topology, local.host, address)
        return changed(steps, client.ask_agent("steps", **plan))
    return changed(steps, _do_down(local, instance, plan, say))


def change_root_without(
    local: LocalProcesses,
    instance: Instance,
    steps: Sequence[RootStep],
    *,
    note: str,
    without: Collection[str],
    say: Progress,
) -> Changed:
    """Do STEPS in the root of INSTANCE, which is down, and open no database of WITHOUT.

    That is for one whose storages are the reason that it does not start.

    :raises Locked: it is up
    :raises PrepareFailed: its Zope could not do it
    """
    plan: dict[str, Any] = {
        "note": note,
        "steps": [step.as_json() for step in steps],
        "without": sorted(without),
    }
    return changed(steps, _do_down(local, instance, plan, say))


def _do_down(
    local: LocalProcesses, instance: Instance, plan: dict[str, Any], say: Progress
) -> dict[str, Any]:
    process = _down(local, instance)
    assert isinstance(process.noun, Replica)
    without = plan.get("without", ())
    kept = tuple(mount for mount in instance.mounts if mount.name not in without)
    servers = servers_of([replace(instance, mounts=kept)])
    with served(local.topology, local.host, servers, say):
        return run_in_zope(process, {**plan, "zope_conf": str(process.noun.zope_conf)})


def changed(steps: Sequence[RootStep], result: dict[str, Any]) -> Changed:
    """Return what the agent said that came of STEPS."""
    return Changed(
        done=tuple(steps[number] for number in result["done"]),
        refused={steps[number]: why for number, why in result["refused"]},
        answers={steps[int(number)]: each for number, each in result.get("answers", {}).items()},
    )


def answering(local: LocalProcesses, instance: Instance) -> Process | None:
    """Return a process of INSTANCE on this host that answers HTTP; None: none does.

    What else answers at its address while it is down is none of them: it must neither get
    the administrator's password nor change its own root.
    """
    return next((each for each in _here(local, instance) if is_answering(local, each)), None)


def is_answering(local: LocalProcesses, process: Process) -> bool:
    """True if PROCESS answers HTTP, as far as the kernel tells whose answer it is."""
    if not local.ask(process).is_answering:
        return False
    owner = listener(process.address)
    return owner is None or owner.pid is None or is_process(owner, process)


def servers_of(instances: Iterable[Instance]) -> tuple[ZeoServer, ...]:
    """Return the ZEO servers of all storages that INSTANCES open when they start."""
    servers = {
        mount.storage.server.name: mount.storage.server
        for instance in instances
        for mount in instance.mounts
        if mount.storage.server is not None
    }
    return tuple(servers.values())


def _here(local: LocalProcesses, instance: Instance) -> list[Process]:
    return [
        each
        for each in local.all
        if isinstance(each.noun, Replica) and each.noun.instance.name == instance.name
    ]


def _down(local: LocalProcesses, instance: Instance) -> Process:
    """Return the process whose Zope can be set up beside nobody.

    :raises Locked: somebody has the root's file open
    """
    process = _here(local, instance)[0]
    assert isinstance(process.noun, Replica)
    mount = instance.root
    path = data_fs(mount, process.noun)
    by = writer(path) if path is not None and mount.storage.server is None else None
    if by is not None:
        raise Locked(
            f"instance {instance.name}: {by} has {path} open, and does not answer",
            hint=f"zmount spin {instance.name} shows what it does; zmount restart "
            f"{instance.name} ends that",
        )
    return process
