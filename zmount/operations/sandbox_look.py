"""The sandboxes of instances, and who may have one, as records tell it.

The instances need not run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zmount.effects.raw_roots import RawRoot
from zmount.effects.raw_sandboxes import (
    FolderOfSandboxes,
    RootUsers,
    folder_of_sandboxes,
    users_of,
)
from zmount.effects.raw_storages import RawDatabases, data_fs
from zmount.errors import SandboxRefused, StorageUnreadable
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.remount import instances_here, replica_here
from zmount.tids import tid_moment
from zmount.topology.hosts import Host
from zmount.topology.instances import Instance
from zmount.topology.topology import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """A sandbox as it is; ``site`` is "" for a user's folder without any.

    Sizes count in the root's own storage. ``last_tid`` is of the last change below it.
    """

    instance: str
    path: str
    user: str
    site: str
    owner: str
    is_user_there: bool
    objects: int
    size_bytes: int
    last_tid: bytes

    def as_json(self) -> dict[str, Any]:
        """Return plain values; sizes are in bytes."""
        return {
            "instance": self.instance,
            "path": self.path,
            "user": self.user,
            "site": self.site or None,
            "owner": self.owner or None,
            "user_exists": self.is_user_there,
            "objects": self.objects,
            "size_bytes": self.size_bytes,
            "last_change": tid_moment(self.last_tid),
        }


def list_sandboxes(topology: Topology, host: Host, user: str = "") -> tuple[Sandbox, ...]:
    """Return the sandboxes of all instances on HOST, or those of USER.

    :raises StorageUnreadable: a root cannot be read
    """
    local = LocalProcesses(topology=topology, host=host)
    return tuple(
        each
        for instance in instances_here(local, ())
        if instance.sandboxes is not None
        for each in _listed(local, instance)
        if user in ("", each.user)
    )


def instance_with_sandboxes(local: LocalProcesses, name: str) -> Instance:
    """Return the instance NAME, or the only one here that has a folder for sandboxes."""
    here = tuple(instances_here(local, (name,) if name else ()))
    found = [each for each in here if each.sandboxes is not None]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(each.name for each in found)
        raise SandboxRefused(f"{names} have folders for sandboxes", hint="--instance names one")
    raise SandboxRefused(
        f"instance {name} has no folder for sandboxes"
        if name
        else f"no instance on {local.host.name} has a folder for sandboxes",
        hint="sandboxes /dev in <instance>, in zmount.conf; a development instance has one",
    )


def seen_sandboxes(
    local: LocalProcesses, instance: Instance
) -> tuple[FolderOfSandboxes | None, RootUsers]:
    """Return what the root of INSTANCE has for sandboxes, and its users.

    :raises StorageUnreadable: it cannot be read
    """
    replica, mount = replica_here(local, instance), instance.root
    blobs = mount.storage.blob_dir if data_fs(mount, replica) else None
    with RawDatabases(replica) as databases:
        root = RawRoot(instance.mounts, databases)
        if not root.is_known:
            raise StorageUnreadable(
                f"instance {instance.name}: its root {mount.storage.name} cannot be read",
                hint="zmount status says which ZEO server is away; zmount start starts it",
            )
        blob_dir = Path(blobs) if blobs is not None else None
        return folder_of_sandboxes(root, str(instance.sandboxes), blob_dir), users_of(root)


def _listed(local: LocalProcesses, instance: Instance) -> Iterator[Sandbox]:
    folder, users = seen_sandboxes(local, instance)
    for user, mine in sorted(folder.users.items() if folder is not None else ()):
        for site, found in sorted(mine.below.items()) or [("", mine)]:
            yield Sandbox(
                instance=instance.name,
                path="/".join(filter(None, (str(instance.sandboxes), user, site))),
                user=user,
                site=site,
                owner=found.owner,
                is_user_there=users.are_unknown_or_have(user),
                objects=found.size.objects,
                size_bytes=found.size.size_bytes,
                last_tid=found.size.last_tid,
            )
