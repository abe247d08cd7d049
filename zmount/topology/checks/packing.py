"""Rules about packing: whether the garbage of a storage can be removed."""

from __future__ import annotations

from collections.abc import Iterator

from zmount.topology.checks.storages import is_elsewhere
from zmount.topology.findings import Finding, error, warning
from zmount.topology.instances import Instance
from zmount.topology.references import Referrer, files_to_pack, referrers
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology


def packers_that_are_no_names(topology: Topology) -> Iterator[Finding]:
    """Yield packers that no server could find."""
    for storage in topology.storages:
        packer = storage.options.text("packer")
        if packer and "." not in packer and ":" not in packer:
            yield error(
                "packer-no-name",
                storage.place.of("packer"),
                f"storage {storage.name}: packer {packer} is no function's dotted name",
                why="whoever opens the storage would not start",
                hint="MODULE.FUNCTION or MODULE:EXPRESSION; or stock, for FileStorage's own",
            )


def garbage_that_stays(topology: Topology) -> Iterator[Finding]:
    """Yield instances whose storages cannot all be read where one of them is packed."""
    for instance in topology.instances:
        if any(is_elsewhere(mount.storage, instance) for mount in instance.mounts):
            continue  # which is an error, and no place to speak of packs
        packed = [
            mount.storage
            for mount in instance.mounts
            if mount.storage.pack.gc and files_to_pack(mount.storage)
        ]
        unreadable = {
            host.name: [each for each in referrers(instance, host) if each.unreadable]
            for host in {storage.host.name: storage.host for storage in packed}.values()
        }
        blocked = [storage for storage in packed if unreadable[storage.host.name]]
        if blocked:
            yield _stays(instance, blocked, unreadable[blocked[0].host.name])


def _stays(instance: Instance, blocked: list[Storage], by: list[Referrer]) -> Finding:
    name = by[0].storage.name
    return warning(
        "garbage-stays",
        instance.place,
        f"instance {instance.name}: {_and_more(name, len(by))} may refer to objects of "
        f"{_and_more(blocked[0].name, len(blocked))}, and {by[0].unreadable}",
        why="a pack that cannot see what is still in use refuses to remove garbage",
        hint=f"references none, in <storage {name}> or for all at the top, if it refers to no "
        "other storage; or pack-gc off",
    )


def _and_more(name: str, number: int) -> str:
    return name if number == 1 else f"{name} and {number - 1} more"


RULES = (packers_that_are_no_names, garbage_that_stays)
