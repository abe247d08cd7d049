"""Storages in two files, as a stage has them: production's at a moment, and changes over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transaction
from persistent.mapping import PersistentMapping
from ZODB.blob import Blob
from ZODB.Connection import TransactionMetaData
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage
from ZODB.POSException import POSKeyError
from ZODB.utils import load_current, p64, u64

from zmount.filestorage.layers import Layers
from zmount.server.frozen import FrozenFile
from zmount.server.overlay import Overlay

OIDS = 40  # where staging's own begin, in bits


class Stack:
    """Production in DIRECTORY, a link to it as it was, and changes.

    ``layers`` are their files. Both databases are written to by :meth:`write` and
    :meth:`produce`, the changes also as storage, while :meth:`opened`.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.production = directory / "Data.fs"
        self.produce(lambda root: root.update(number=0))
        for number in range(5):
            self.produce(lambda root, number=number: self._fill(root, number))
        self.freeze()

    def _fill(self, root: Any, number: int) -> None:
        root[f"item {number}"] = PersistentMapping(number=number)
        root[f"blob {number}"] = Blob(b"production %d" % number)
        root["item 0"]["number"] = number

    def freeze(self) -> None:
        """Let the base be production as it is now."""
        storage = FileStorage(str(self.production), read_only=True)
        self.layers = Layers(
            base=self.directory / "base.fs",
            base_end=storage.getSize(),
            base_tid=u64(storage.lastTransaction()),
            changes=self.directory / "changes.fs",
            base_blobs=self.directory / "blobs",
            changes_blobs=self.directory / "changes-blobs",
        )
        storage.close()
        self.layers.base.hardlink_to(self.production)
        index = self.production.with_name("Data.fs.index")
        self.layers.base.with_name("base.fs.index").write_bytes(index.read_bytes())

    def produce(
        self, change: Callable[[Any], None], databases: dict[str, Any] | None = None
    ) -> None:
        """Commit a change of production's root, which may refer to DATABASES."""
        storage = FileStorage(str(self.production), blob_dir=str(self.directory / "blobs"))
        database = DB(storage, databases=_others(databases))
        with database.transaction() as connection:
            change(connection.root())
        database.close()

    def frozen(self) -> FrozenFile:
        """The base, open."""
        tid, end = p64(self.layers.base_tid), self.layers.base_end
        return FrozenFile(self.layers.base, tid, end, self.layers.base_blobs)

    @contextmanager
    def opened(self) -> Iterator[Overlay]:
        """The storage of both files, open for writing."""
        storage = Overlay(self.layers.changes, self.frozen(), blob_dir=self.layers.changes_blobs)
        storage.set_max_oid(p64(1 << OIDS))
        try:
            yield storage
        finally:
            storage.close()

    def write(
        self, *changes: Callable[[Any], None], databases: dict[str, Any] | None = None
    ) -> None:
        """Commit each change of the root, in a transaction of its own."""
        with self.opened() as storage:
            database = DB(storage, databases=_others(databases))
            for change in changes:
                with database.transaction() as connection:
                    change(connection.root())
            database.close()

    def mark(self) -> None:
        """Commit an empty transaction, as a swap does."""
        with self.opened() as storage:
            marker = TransactionMetaData("zmount", "a mark")
            storage.tpc_begin(marker)
            storage.tpc_vote(marker)
            storage.tpc_finish(marker)

    def undo(self, number: int) -> None:
        """Undo the NUMBER-th transaction of the changes, counted from the last, from 0 on."""
        with self.opened() as storage:
            database, manager = DB(storage), transaction.TransactionManager()
            database.undo(database.undoLog(number, number + 1)[0]["id"], manager.get())
            manager.commit()
            database.close()

    def delete(self, oid: bytes) -> None:
        """Delete an object, as a collector of garbage does."""
        with self.opened() as storage:
            meta = TransactionMetaData()
            storage.tpc_begin(meta)
            storage.deleteObject(oid, storage.getTid(oid), meta)
            storage.tpc_vote(meta)
            storage.tpc_finish(meta)

    def store(self, oid: bytes, *records: bytes) -> None:
        """Store RECORDS of an object in one transaction, as ZEO does with a blob's."""
        with self.opened() as storage:
            meta = TransactionMetaData()
            storage.tpc_begin(meta)
            serial = storage.lastTid(oid) or bytes(8)
            for data in records:
                storage.store(oid, serial, data, "", meta)
            storage.tpc_vote(meta)
            storage.tpc_finish(meta)

    def change_much(self) -> None:
        """Let there be every kind of change."""
        self.mark()
        self.write(
            lambda root: root["item 1"].update(number="changed"),
            lambda root: root.update(new=PersistentMapping(of="staging")),
            lambda root: root["new"].update(of="staging, again", link=root["item 2"]),
            lambda root: _rewrite(root["blob 1"], b"staging"),
            lambda root: root.update({"new blob": Blob(b"new")}),
            lambda root: root["item 3"].update(number="to be undone"),
            lambda root: _rewrite(root["blob 2"], b"to be undone"),
            lambda root: _rewrite(root["new blob"], b"newer"),
        )
        self.undo(0)  # of a change of what is new
        self.undo(2)  # of the first change of a blob of the base
        self.undo(4)  # of the first change of an object of the base
        self.undo(0)  # of that undo
        self.write(lambda root: root["item 3"].update(again=1))
        gone = self.oid("item 4")
        self.write(lambda root: root.pop("item 4"))
        self.delete(gone)
        oid = self.oid("item 2")
        with self.opened() as storage:
            data, _ = load_current(storage, oid)
        self.store(oid, data, data)
        self.mark()

    def oid(self, name: str) -> bytes:
        """Return the oid of an item."""
        with self.opened() as storage:
            database = DB(storage)
            with database.transaction() as connection:
                oid: bytes = connection.root()[name]._p_oid
            database.close()
        return oid


def _others(databases: dict[str, Any] | None) -> dict[str, Any]:
    return dict(databases or {})  # each database puts itself into it


def _rewrite(blob: Blob, content: bytes) -> None:
    with blob.open("w") as file:
        file.write(content)


def contents(storage: Any, oids: set[bytes]) -> dict[bytes, Any]:
    """Return data, tid and the blob's content of the current record of each object."""
    found: dict[bytes, Any] = {}
    for oid in oids:
        try:
            data, tid = load_current(storage, oid)
        except POSKeyError:
            found[oid] = None
            continue
        blob = b""
        if b"ZODB.blob" in data[:40]:
            blob = Path(storage.loadBlob(oid, tid)).read_bytes()
        found[oid] = (data, tid, blob)
    return found


def before(storage: Any, oid: bytes, tid: bytes) -> Any:
    """Return what an object was before the transaction TID; "gone" where it was deleted."""
    try:
        return storage.loadBefore(oid, tid)
    except POSKeyError:
        return "gone"


def told(storage: Any) -> list[Any]:
    """Return all transactions of a storage with their records, in order."""
    return [
        (
            each.tid,
            each.status,
            each.user,
            each.description,
            each.extension,
            [(record.oid, record.tid, record.data) for record in each],
        )
        for each in storage.iterator()
    ]


def all_oids(storage: Overlay) -> set[bytes]:
    """Return the oids of all objects in both files, deleted ones too."""
    return set(storage._index) | set(storage.base._index)
