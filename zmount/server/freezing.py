"""Production at one moment, in the directory of a new generation.

Linked: the data file by a hard link, which takes no time and no room. The index of
a storage in this process is the one in memory, taken piece by piece, and its lock is
held only for one at a time; of any other one it is the saved one. Either is brought
up to date from the file.

Copied: a clone, where production lies on another volume, or where one is wanted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ZODB.fsIndex import fsBucket, num2str
from ZODB.POSException import StorageError
from ZODB.utils import p64, z64

from zmount.filestorage.cores import chosen
from zmount.filestorage.format import new_cursor
from zmount.filestorage.index import read_index, write_buckets
from zmount.filestorage.index_check import judge
from zmount.filestorage.index_content import content_of
from zmount.filestorage.source import batches, committed_end, last_end, last_tid, open_source
from zmount.server.copying import copy_storage
from zmount.server.generation import Generation


class SwapRefused(StorageError):  # type: ignore[misc]
    """Swapping now would lose something, or cannot be done; what was there is there."""


class PackedMeanwhile(SwapRefused):
    """A pack has put another file in production's place; trying again may succeed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Production up to the transaction ``tid``, which ends at byte ``end`` of file ``inode``.

    ``locked_s`` is for how long production's lock was held, at most at a time.
    """

    tid: bytes
    end: int
    inode: int
    locked_s: float = 0.0


def freeze_storage(storage: Any, new: Generation) -> Moment:
    """Link the file of a FileStorage in this process into NEW; write its index.

    A pack that is going on does no harm: it puts its file in place under the lock.

    :raises PackedMeanwhile: it has done so
    :raises SwapRefused: production is empty
    """
    os.link(storage._file_name, new.base)  # may wait for the disk: not under the lock
    hold = _Hold(storage._lock)
    with hold:
        position, buckets = storage._pos, list(storage._index._data.items())
    taken = {}
    for prefix, bucket in buckets:
        with hold:
            taken[prefix] = bucket.toString()
        time.sleep(0)  # others may want to go on
    with hold:
        end, tid = storage._pos, storage._ltid
        inode = os.fstat(storage._file.fileno()).st_ino
    if new.base.stat().st_ino != inode:
        raise PackedMeanwhile(f"{storage._file_name}: it was packed this very moment; try again")
    if tid == z64:
        raise SwapRefused(f"{storage._file_name}: it is empty")
    _bring_up_to(new.base, position, end, taken)
    write_buckets(new.base.with_name("base.fs.index"), end, sorted(taken.items()))
    _protect(new)
    return Moment(tid=tid, end=end, inode=inode, locked_s=hold.longest_s)


class _Hold:
    """``with hold:`` holds LOCK, and notes for how long."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self._since = 0.0
        self.longest_s = 0.0

    def __enter__(self) -> None:
        self._lock.acquire()
        self._since = time.perf_counter()

    def __exit__(self, *error: object) -> None:
        self.longest_s = max(self.longest_s, time.perf_counter() - self._since)
        self._lock.release()


def _bring_up_to(path: Path, position: int, end: int, buckets: dict[bytes, bytes]) -> None:
    """Let BUCKETS be those of the data file PATH at END.

    Each was taken at a moment of its own: none before POSITION, none after END. So what
    was written between these, said once more, makes them all of one moment.
    """
    changed: dict[bytes, Any] = {}
    fields = chosen().records.RECORD_FIELDS
    with open_source(path, end) as source:
        for found, count in batches(source, new_cursor(position), end):
            for at in range(0, fields * count, fields):
                oid = p64(found[at])
                bucket = changed.get(oid[:6])
                if bucket is None:
                    bucket = changed[oid[:6]] = fsBucket().fromString(buckets.get(oid[:6], b""))
                bucket[oid[6:]] = num2str(found[at + 1])
    buckets.update((prefix, bucket.toString()) for prefix, bucket in changed.items())


def freeze_file(path: Path, new: Generation) -> Moment:
    """Link the data file PATH, which another process may be writing to, into NEW.

    :raises SwapRefused: it is empty
    :raises StorageUnreadable: it is no FileStorage, or damaged
    """
    os.link(path, new.base)
    with open_source(new.base) as source:
        saved, end = read_index(path.with_name(path.name + ".index")), None
        if saved is not None:
            judged = judge(source, saved)
            if judged.why_not:
                saved = None
            else:
                end = judged.end
        if end is None:
            end = last_end(source)
        if end is None:
            end = committed_end(source)
        tid = last_tid(source, end)
        if not tid:
            raise SwapRefused(f"{path}: it is empty")
        content = content_of(source, end, saved, lambda done, of: None)
        write_buckets(new.base.with_name("base.fs.index"), content.position, content.buckets)
        inode = source.inode
    _protect(new)
    return Moment(tid=p64(tid), end=end, inode=inode)


def last_transaction(path: Path) -> bytes:
    """Return the tid of the last transaction in the data file PATH, or of one shortly before.

    :raises StorageUnreadable: it is no FileStorage, or damaged
    """
    with open_source(path) as source:
        end = last_end(source)
        tid: bytes = p64(last_tid(source, committed_end(source) if end is None else end))
        return tid


def copy_production(
    path: Path,
    blob_dir: Path | None,
    new: Generation,
    progress: Callable[[str, int, int], None],
) -> Moment:
    """Copy the storage in the data file PATH, with its blobs, into NEW.

    :raises CopyFailed: as a clone does
    :raises SwapRefused: it is empty
    """
    part = new.path / "copy"
    made = copy_storage(path, blob_dir, part, progress)
    if not made["last_tid"]:
        raise SwapRefused(f"{path}: it is empty")
    data_fs = Path(made["data_fs"])
    data_fs.rename(new.base)
    data_fs.with_name(f"{data_fs.name}.index").rename(new.base.with_name("base.fs.index"))
    if made["blob_dir"] is not None:
        Path(made["blob_dir"]).rename(new.path / "base-blobs")
    part.rmdir()
    _protect(new)
    inode = new.base.stat().st_ino
    return Moment(tid=p64(made["last_tid"]), end=made["size_bytes"], inode=inode)


def _protect(new: Generation) -> None:
    """Let nobody open the base for writing: it may be production's own file.

    FileStorage creates NAME.lock first, which a directory of that name prevents.
    """
    new.base.with_name("base.fs.lock").mkdir()
