"""What tells a packer which other databases may refer to the objects of a storage.

``Data.fs.referrers`` lies beside each Data.fs, where a packer finds it whoever
calls it. It names the lists of the instances that mount the storage; each list,
``etc/databases/INSTANCE``, is there once for all of an instance's storages, so
that a thousand of them take a thousand lines and not a million.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from zmount.render.text import Text
from zmount.topology.hosts import Host
from zmount.topology.instances import Instance
from zmount.topology.references import files_to_pack, instances_by_storage, referrers
from zmount.topology.storages import Storage
from zmount.topology.topology import Topology


def referrers_file(data_fs: PurePosixPath) -> PurePosixPath:
    """Return where a packer of DATA_FS looks."""
    return data_fs.with_name(data_fs.name + ".referrers")


def database_list(instance: Instance, host: Host) -> PurePosixPath:
    """Return where HOST keeps the list of what INSTANCE mounts."""
    return host.etc / "databases" / instance.name


def referrers_texts(topology: Topology, host: Host) -> Iterator[tuple[PurePosixPath, Text]]:
    """Yield the path and text of each file that HOST needs for its packers."""
    mounted_by = instances_by_storage(topology)
    stored_in: dict[PurePosixPath, list[Storage]] = {}
    for storage in topology.storages:
        if storage.host.name == host.name:
            for path in files_to_pack(storage):
                stored_in.setdefault(path, []).append(storage)
    listed: dict[str, Instance] = {}
    for path, storages in stored_in.items():
        mounts = [mount for each in storages for mount in mounted_by.get(each.name, ())]
        listed.update((instance.name, instance) for instance, _ in mounts)
        yield referrers_file(path), _referrers(storages, mounts, host)
    for instance in listed.values():
        yield database_list(instance, host), _database_list(instance, host)


def _referrers(storages: list[Storage], mounts: list[tuple[Instance, str]], host: Host) -> Text:
    text = Text()
    names = " and ".join(storage.name for storage in storages)
    text.add(f"# where a pack of {names} looks for references from other databases")
    for name in dict.fromkeys(name for _, name in mounts):
        text.add(f"database {name}")
    # lines, and not instances: these hold all that they mount, which is long to compare
    text.add(*dict.fromkeys(f"list {name} {database_list(each, host)}" for each, name in mounts))
    return text


def _database_list(instance: Instance, host: Host) -> Text:
    text = Text()
    text.add(f"# what may refer to other databases of {instance.name}")
    for each in referrers(instance, host):
        for path in each.files:
            text.add(f"referrer {path}")
        if each.files and each.storage.stage is not None:
            text.add(f"stage {each.storage.stage.generations}")
        if each.unreadable:
            where = f"{each.storage.host.name}:{each.storage.name}"
            text.add(f"unreadable {where} {each.unreadable}")
    return text
