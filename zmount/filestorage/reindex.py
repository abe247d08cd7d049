"""Gives a data file that nobody has open an index that FileStorage will use.

FileStorage refuses a right index where an object stands twice in the last
transaction: so it is with every blob that was stored through ZEO. Then the index is
saved as of an earlier transaction, and FileStorage reads the few after it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from ZODB.fsIndex import fsIndex
from ZODB.utils import p64

from zmount.errors import CorruptFile, StorageUnreadable, ZMountError
from zmount.filestorage.cores import chosen
from zmount.filestorage.format import FIRST, TRANSACTION_HEADER, WRITTEN, new_cursor
from zmount.filestorage.index import Bucket, SavedIndex, read_index, write_buckets
from zmount.filestorage.index_check import Judged, judge, last_taken
from zmount.filestorage.objects import scan_into
from zmount.filestorage.places import Places
from zmount.filestorage.source import (
    Source,
    batches,
    committed_end,
    last_end,
    open_source,
    read_at,
)
from zmount.filestorage.storage_lock import storage_locked

SOON = 1 << 23  # bytes that FileStorage reads without an index in 30 ms
FASTER_SCANNED = 4  # part of the file from which on to scan all of it takes no longer

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """The index of a data file, as it was found or made.

    ``done`` is "built" (from nothing), "updated", "removed" (the file has no
    object that an index could tell of) or "kept"; ``why`` says what was wrong
    before. ``position`` is where the transactions end that the index knows,
    ``end`` where the last complete transaction of the file does.
    """

    path: Path
    done: str
    why: str
    objects: int
    position: int
    end: int
    seconds: float = 0


def index_path(path: Path) -> Path:
    """Return where FileStorage saves the index of the data file PATH."""
    return path.with_name(path.name + ".index")


def build_index(
    path: str | os.PathLike[str], *, progress: Progress = lambda done, of: None
) -> Indexed:
    """Save a new index of the data file PATH, made from all of its records.

    :param progress: called with the bytes that are done, and with all of them
    :raises Locked: a FileStorage has it open; it saves its index when it closes
    :raises StorageUnreadable: it is no FileStorage, or damaged
    :raises StorageUnwritable: no space, no permission
    """
    watch = time.perf_counter()
    with _owned(path) as source:
        return replace(_build(source, "", progress), seconds=time.perf_counter() - watch)


def ready_index(path: str | os.PathLike[str]) -> Indexed:
    """See to it that FileStorage opens PATH quickly and rightly; return what there was to do.

    An index that is right and nearly up to date stays. One that is not of this
    file never does: if no other can be written, it is moved aside.

    :raises Locked: a FileStorage has it open
    :raises StorageUnreadable: it is no FileStorage, or damaged
    :raises StorageUnwritable: no space, no permission
    """
    watch = time.perf_counter()
    with _owned(path) as source:
        return replace(_ready(source), seconds=time.perf_counter() - watch)


@contextmanager
def _owned(path: str | os.PathLike[str]) -> Iterator[Source]:
    with open_source(path):
        pass  # what is no FileStorage gets no lock file
    with storage_locked(path), open_source(path) as source:
        yield source


def _ready(source: Source) -> Indexed:
    index = index_path(source.path)
    try:
        saved = read_index(index)
    except StorageUnreadable as why:
        saved, problem = None, str(why)
    else:
        problem = "there was none"
    if saved is None:
        if source.end <= SOON:
            return _kept(source, problem, None, source.end)
        return _build(source, problem, _unseen)
    judged = judge(source, saved)
    if not judged.why_not:
        return _brought_up(source, saved, judged)
    try:
        return _build(source, judged.why_not, _unseen)
    except ZMountError:
        with suppress(OSError):
            index.replace(index.with_name(index.name + ".foreign"))
        raise


def _brought_up(source: Source, saved: SavedIndex, judged: Judged) -> Indexed:
    """Let FileStorage take the index SAVED, which is right, and read little after it."""
    end = judged.end
    is_near = end - saved.position <= SOON and judged.is_taken
    position = 0 if is_near or end <= SOON else last_taken(source, end)
    if not position or (judged.is_taken and position == saved.position):
        return _kept(source, "", saved, end)
    behind = f"it ended {end - saved.position:,} bytes before the file did"
    why = behind if judged.is_taken else "FileStorage would have refused it"
    index = _moved(source, saved, position)
    if index is None:
        return _build(source, why, _unseen)
    objects = write_buckets(index_path(source.path), position, _buckets_of(index), source.path)
    return replace(
        _kept(source, why, saved, end), done="updated", objects=objects, position=position
    )


def index_up_to(
    source: Source, end: int, saved: SavedIndex | None, progress: Progress
) -> tuple[int, Iterable[Bucket]]:
    """Return the index of SOURCE up to END, and where the transactions end that it knows.

    That is END, or before it: as far as FileStorage takes it. It is made of
    SAVED, if there is a right one, else by a scan.

    :raises CorruptFile: the file is damaged
    """
    if saved is not None:
        position = last_taken(source, end) or end
        index = _moved(source, saved, position)
        if index is not None:
            return position, _buckets_of(index)
    position, places = _scanned_to(source, end, progress)
    return position, places.buckets()


def _buckets_of(index: fsIndex) -> Iterator[Bucket]:
    return ((prefix, bucket.toString()) for prefix, bucket in index._data.items())


def _kept(source: Source, why: str, saved: SavedIndex | None, end: int) -> Indexed:
    return Indexed(
        path=source.path,
        done="kept",
        why=why,
        objects=len(saved) if saved else 0,
        position=saved.position if saved else 0,
        end=end,
    )


def _build(source: Source, why: str, progress: Progress) -> Indexed:
    end, position, places = _scanned(source, progress)
    index = index_path(source.path)
    if not places:
        # FileStorage does not even open a file of empty transactions that has an index
        index.unlink(missing_ok=True)
        return replace(_kept(source, why, None, end), done="removed")
    objects = write_buckets(index, position, places.buckets(), source.path)
    return Indexed(
        path=source.path, done="built", why=why, objects=objects, position=position, end=end
    )


def _scanned(source: Source, progress: Progress) -> tuple[int, int, Places]:
    """Return where the file ends, up to where an index is of use, and what is there."""
    end = last_end(source)
    if end is not None:
        try:
            return end, *_scanned_to(source, end, progress)
        except CorruptFile:
            pass  # perhaps the end is not what it looked like
    end = committed_end(source)
    return end, *_scanned_to(source, end, progress)


def _scanned_to(source: Source, end: int, progress: Progress) -> tuple[int, Places]:
    position = last_taken(source, end) or end
    places = scan_into(
        Places, source, position, progress=lambda done: progress(done, position - FIRST)
    )
    return position, places


def _moved(source: Source, saved: SavedIndex, position: int) -> fsIndex | None:
    """Return the index SAVED as it is at POSITION; None: scan the file for that."""
    if position - saved.position > position // FASTER_SCANNED:
        return None
    if position < saved.position:
        return _moved_back(source, saved, position)
    index = saved.as_fsindex()
    fields = chosen().records.RECORD_FIELDS
    for found, count in batches(source, new_cursor(saved.position), position):
        for at in range(0, fields * count, fields):
            index[p64(found[at])] = found[at + 1]
    return index


def _moved_back(source: Source, saved: SavedIndex, position: int) -> fsIndex | None:
    core = chosen().records
    before: dict[int, int] = {}
    for found, count in batches(source, new_cursor(position), saved.position):
        for at in range(0, core.RECORD_FIELDS * count, core.RECORD_FIELDS):
            if read_at(source, found[at + core.OWNER], TRANSACTION_HEADER)[16] != WRITTEN:
                return None  # a pack writes no previous positions
            before.setdefault(found[at], found[at + core.PREVIOUS])
    index = saved.as_fsindex()
    for oid, previous in before.items():
        if not previous:
            del index[p64(oid)]
        elif previous < position and read_at(source, previous, 8) == p64(oid):
            index[p64(oid)] = previous
        else:
            return None
    return index


def _unseen(done: int, of: int) -> None:
    pass
