"""Rules about the mounts of an instance together, and of instances together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from zmount.topology.findings import Finding, error
from zmount.topology.instances import Instance
from zmount.topology.mounts import Mount, MountPoint
from zmount.topology.topology import Topology


def mount_points_twice(topology: Topology) -> Iterator[Finding]:
    """Yield paths at which an instance would mount two things."""
    for instance in topology.instances:
        first: dict[str, Mount] = {}
        for mount in instance.mounts:
            for point in mount.points:
                if point.virtual not in first:
                    first[point.virtual] = mount
                    continue
                yield error(
                    "mount-point-twice",
                    point.place,
                    f"instance {instance.name}: {point.virtual} is the mount point of "
                    f"{first[point.virtual].name} and of {mount.name}",
                    why="Zope does not start: ConfigurationError",
                    hint="another mount-point for one of them, or without "
                    f"{first[point.virtual].name}",
                )


def storages_mounted_twice(topology: Topology) -> Iterator[Finding]:
    """Yield storages that one instance would open in two databases."""
    for instance in topology.instances:
        first: dict[str, Mount] = {}
        for mount in instance.mounts:
            other = first.setdefault(mount.storage.name, mount)
            if other is mount:
                continue
            is_served = mount.storage.server is not None
            yield error(
                "storage-mounted-twice",
                mount.place,
                f"instance {instance.name}: {mount.name} and {other.name} are two databases on "
                f"the storage {mount.storage.name}",
                why="a transaction that writes to both waits for itself at its commit, for ever"
                if is_served
                else "the second one finds the Data.fs locked",
                hint="one <mount> with several mount-point lines",
            )


def database_names_twice(topology: Topology) -> Iterator[Finding]:
    """Yield databases of an instance that would have one name; the root's is main."""
    for instance in topology.instances:
        first: dict[str, Mount] = {}
        for mount in instance.mounts:
            name = mount.database.text("database-name") or mount.name
            other = first.setdefault(name, mount)
            if mount.storage.name == other.storage.name:
                continue  # itself, or two databases on one storage
            yield error(
                "database-name-twice",
                mount.place.of("database-name"),
                f"instance {instance.name}: {mount.storage.name} and {other.storage.name} would "
                f"both be the database {name}",
                why="Zope does not start with two databases of one name",
                hint="another name for the root: <mount root> with mount-point / in the instance"
                if other.is_root
                else "another name for one of them",
            )


def mounts_inside_mounts(topology: Topology) -> Iterator[Finding]:
    """Yield mounts inside a storage that another instance sees at another path.

    The mount object of ``/home/x/catalog`` lies in the storage of ``/home/x``
    and knows its own path. An instance that shows that storage at ``/pub/x``
    looks for the database of ``/home/x/catalog`` all the same, and has none, or
    another one. Source: ``Products.ZODBMountPoint.MountedObject``.
    """
    tables = {instance.name: _table(instance) for instance in topology.instances}
    users: dict[str, list[Instance]] = {}
    for instance in topology.instances:
        for mount in instance.mounts:
            users.setdefault(mount.storage.name, []).append(instance)
    for instance in topology.instances:
        for mount, point, outer in _nested(instance, tables[instance.name]):
            for other in users[outer.storage.name]:
                there = tables[other.name].get(point.virtual)
                if other is not instance and (
                    there is None or there.storage.name != mount.storage.name
                ):
                    yield _seen_elsewhere(instance, mount, point, outer, other, there)


def _table(instance: Instance) -> dict[str, Mount]:
    return {point.virtual: mount for mount in instance.mounts for point in mount.points}


def _nested(
    instance: Instance, table: dict[str, Mount]
) -> Iterator[tuple[Mount, MountPoint, Mount]]:
    """Yield each mount with its point below another mount's, and that one."""
    for mount in instance.mounts:
        for point in mount.points:
            for up in PurePosixPath(point.virtual).parents:
                outer = table.get(str(up))
                if str(up) != "/" and outer is not None and outer is not mount:
                    yield mount, point, outer
                    break


def _seen_elsewhere(
    instance: Instance,
    mount: Mount,
    point: MountPoint,
    outer: Mount,
    other: Instance,
    there: Mount | None,
) -> Finding:
    """Return what OTHER makes of the mount object in OUTER: it looks THERE."""
    return error(
        "mount-inside-mount",
        mount.place,
        f"instance {instance.name} mounts {mount.storage.name} at {point.virtual}, inside of "
        f"{outer.storage.name}, which instance {other.name} mounts too",
        why=f"the mount object in {outer.storage.name} looks for the database of {point.virtual} "
        f"in {other.name}, where "
        + (
            f"that is {there.storage.name}: the wrong objects"
            if there is not None
            else "there is none"
        ),
        hint=f"in <instance {other.name}> the same mount at the same path, or without "
        f"{outer.storage.name}",
    )


RULES = (mount_points_twice, storages_mounted_twice, database_names_twice, mounts_inside_mounts)
