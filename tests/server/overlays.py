"""Overlays for tests: over a base that has no more than a root, or that is full of objects."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from persistent.mapping import PersistentMapping
from ZODB.blob import Blob
from ZODB.Connection import TransactionMetaData
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage
from ZODB.utils import p64, u64

from zmount.server.frozen import FrozenFile
from zmount.server.overlay import Overlay


def make_base(path: Path, *, is_full: bool = True) -> None:
    """Make production's data file PATH, with blobs beside it; not full: one empty transaction."""
    path.parent.mkdir(exist_ok=True)
    storage = FileStorage(str(path), blob_dir=f"{path}.blobs")
    if not is_full:
        empty = TransactionMetaData()
        storage.tpc_begin(empty)
        storage.tpc_vote(empty)
        storage.tpc_finish(empty)
        storage.close()
        return
    database = DB(storage)
    for number in range(30):
        with database.transaction() as connection:
            root = connection.root()
            for name in range(number, number + 20):
                root.setdefault(str(name), PersistentMapping())["number"] = number
            root["blob"] = Blob(b"%d" % number)
    database.close()


def frozen(path: Path) -> FrozenFile:
    """The data file PATH as it is now."""
    storage = FileStorage(str(path), read_only=True)
    tid, end = storage.lastTransaction(), storage.getSize()
    storage.close()
    link = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    link.hardlink_to(path)
    return FrozenFile(link, tid, end, Path(f"{path}.blobs"))


def overlay(directory: Path, *, is_full: bool = True, blobs: bool = True) -> Overlay:
    """An overlay in DIRECTORY; the same one again, if there is one."""
    base = directory / "base.fs"
    if not base.exists():
        make_base(base, is_full=is_full)
    return Overlay(
        directory / "changes.fs",
        frozen(base),
        blob_dir=directory / "changes-blobs" if blobs else None,
    )


class FromTheSwapOn(Overlay):
    """Shows those who count transactions only those since, and counts objects the same way."""

    def iterator(self, start: bytes | None = None, stop: bytes | None = None) -> Iterator[Any]:
        since = p64(u64(self.base.lastTransaction()) + 1)
        return super().iterator(max(start or since, since), stop)
