"""Opening storages to read them: from their files, or through their ZEO server.

Reading needs no lock: a FileStorage is read while its owner writes to it, and
what is read is its state at that moment.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ZODB.FileStorage.FileStorage import FileStorageError, FileStorageFormatError
from ZODB.POSException import POSError

from zmount.effects.answers import ask_zeo
from zmount.effects.raw_file import DataFile
from zmount.effects.raw_records import RawDatabase, RawStorage
from zmount.effects.raw_zeo import ZeoRecords
from zmount.effects.stage_files import open_stage
from zmount.errors import StorageUnreadable
from zmount.server.changes_file import ChangesFile
from zmount.topology.addresses import Address, parse_address
from zmount.topology.instances import Replica
from zmount.topology.mounts import Mount
from zmount.topology.storages import Storage
from zmount.topology.zeo import Tls

MOST_OPEN = 32

# Sections around, or instead of, a <filestorage> whose file holds all there is.
_READ_AS_FILE = frozenset(("filestorage", "zlibstorage", "serverzlibstorage"))
_IN_MEMORY = frozenset(("mappingstorage", "temporarystorage"))


def is_in_memory(mount: Mount) -> bool:
    """True if MOUNT's storage is empty again at each start of who opens it."""
    backend = mount.storage.backend
    return backend is not None and backend.type in _IN_MEMORY


def is_read_only(mount: Mount) -> bool:
    """True if nothing can be written through MOUNT."""
    storage, server = mount.storage, mount.storage.server
    said = [mount.client.text("read-only")]
    if server is not None:
        said.append(server.options.text("read-only"))
    return is_opened_read_only(storage) or any(map(_is_on, said))


def is_opened_read_only(storage: Storage) -> bool:
    """True if whoever has STORAGE open cannot write to it, and takes no lock."""
    return _is_on(storage.options.text("read-only"))


def _is_on(text: str) -> bool:
    return text.lower() in ("on", "yes", "true", "1")


class RawDatabases:
    """The storages of REPLICA's mounts, opened as they are asked for.

    A context manager: it closes them. At most :data:`MOST_OPEN` are open at a
    time, for an instance may mount more than a process may have files open. Servers of
    mounts that are AWAY, by their names, are not asked again.
    """

    def __init__(self, replica: Replica, away: Collection[str] = ()) -> None:
        self._replica = replica
        self._away = away
        self._mounts = {mount.name: mount for mount in replica.instance.mounts}
        self._open: OrderedDict[str, RawDatabase] = OrderedDict()
        self._answering: dict[tuple[Address, ...], bool] = {}

    def __enter__(self) -> RawDatabases:
        return self

    def __exit__(self, *_: object) -> None:
        for database in self._open.values():
            database.close()
        self._open.clear()

    def get(self, name: str) -> RawDatabase | None:
        """Return the database of the mount NAME, open; None if it cannot be read here.

        That is the case of storages that only Zope itself can open (in memory,
        or of another backend) and of ZEO servers that do not answer. It may be
        closed when :data:`MOST_OPEN` others have been asked for.

        :raises StorageUnreadable: a file is no FileStorage, or may not be read
        """
        if name in self._open:
            self._open.move_to_end(name)
            return self._open[name]
        database = self._opened(self._mounts[name])
        if database is not None:
            self._open[name] = database
            if len(self._open) > MOST_OPEN:
                self._open.popitem(last=False)[1].close()
        return database

    def _opened(self, mount: Mount) -> RawDatabase | None:
        if data_fs(mount, self._replica) is not None:
            return RawDatabase(open_records(mount.storage), mount.storage.name)
        if mount.storage.server is None or is_in_memory(mount) or mount.name in self._away:
            return None
        addresses = zeo_addresses(mount, self._replica)
        if addresses not in self._answering:
            tls = mount.tls or mount.storage.server.tls
            self._answering[addresses] = any(
                ask_zeo(address, tls).is_answering for address in addresses
            )
        if not self._answering[addresses]:
            return None
        tls = self._replica.local_tls(mount.tls) if mount.tls is not None else None
        return RawDatabase(zeo_records(mount.storage, addresses, tls), mount.storage.name)


def data_fs(mount: Mount, replica: Replica) -> Path | None:
    """Return the file of MOUNT's storage if it is on REPLICA's host, else None.

    Of a stage it is the one from before its first swap.
    """
    storage = mount.storage
    if storage.data_fs is None or storage.host.name != replica.host.name:
        return None
    if storage.backend is not None and storage.backend.type not in _READ_AS_FILE:
        return None
    return Path(storage.data_fs)


def open_files(storage: Storage) -> Any:
    """Open what STORAGE shows from its files, to be read; None: it holds nothing yet.

    :raises StorageUnreadable: they are no FileStorage, or may not be read
    """
    assert storage.data_fs is not None
    stage = open_stage(storage) if storage.stage is not None else None
    return _open_file(Path(storage.data_fs), storage.name) if stage is None else stage


def open_records(storage: Storage) -> RawStorage | None:
    """As :func:`open_files`, only for the newest records: it takes no time, whatever the size.

    :raises StorageUnreadable: they are no FileStorage, or may not be read
    """
    assert storage.data_fs is not None
    stage = open_stage(storage) if storage.stage is not None else None
    if stage is not None:
        return stage
    path = Path(storage.data_fs)
    try:
        return DataFile(path) if path.exists() and path.stat().st_size else None
    except OSError as why:
        said = f"{path} cannot be read: {why.strerror}"
    except StorageUnreadable as why:
        said = str(why)
    raise StorageUnreadable(
        f"storage {storage.name}: {said}",
        hint="run zmount as a user that may read it, or restore it from a backup",
    )


def _open_file(path: Path, name: str) -> Any:
    try:
        if not path.exists() or path.stat().st_size == 0:
            return None
        return ChangesFile(str(path), read_only=True)
    except FileStorageFormatError:  # it says no more than the path
        raise StorageUnreadable(
            f"storage {name}: {path} is no FileStorage", hint="restore it from a backup"
        ) from None
    except (OSError, FileStorageError, POSError, ValueError) as error:
        raise StorageUnreadable(
            f"storage {name}: {path} cannot be read: {error}",
            hint="run zmount as a user that may read it, or restore it from a backup",
        ) from None


def zeo_records(storage: Storage, addresses: Sequence[Address], tls: Tls | None) -> ZeoRecords:
    """Connect to STORAGE at the first of ADDRESSES of its server that gives it.

    TLS is the client's side, with paths of this host.

    :raises StorageUnreadable: none does
    """
    for address in addresses[:-1]:
        with suppress(StorageUnreadable):
            return ZeoRecords(storage, address, tls)
    return ZeoRecords(storage, addresses[-1], tls)


def zeo_addresses(mount: Mount, replica: Replica) -> tuple[Address, ...]:
    """Return where REPLICA looks for the ZEO server of MOUNT's storage; none: it has none."""
    server = mount.storage.server
    if server is None:
        return ()
    said = tuple(parse_address(str(value)) for value in mount.client.get("server", ()))
    return said or (server.address_from(replica.host),)
