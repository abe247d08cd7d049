"""Gives a data file that nobody has open an index that FileStorage will use."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from zmount.errors import CorruptFile, StorageUnreadable, ZMountError
from zmount.filestorage.cores import chosen
from zmount.filestorage.index import SavedIndex, read_index, write_buckets
from zmount.filestorage.index_check import SMALLEST, Judged, judge, last_taken
from zmount.filestorage.index_content import (
    IndexContent,
    Progress,
    moved_content,
    scanned_content,
)
from zmount.filestorage.source import Source, committed_end, last_end, open_source
from zmount.filestorage.storage_lock import storage_locked

SLOW_CORES = ("plain",)  # scan at a third of FileStorage's speed
SOON = 1 << 23  # bytes that FileStorage reads without an index in 30 ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """The index of a data file, as it was found or made.

    ``done`` is "built" (from nothing), "updated", "removed" (of another file, or
    the file has no object that an index could tell of) or "kept"; ``why`` says what was wrong
    before. ``objects`` is how many there are up to ``end``, where the last complete
    transaction does; ``position`` is where those end that the index knows.
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
    return Path(f"{path}.index")  # also of what has no name, as "."


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
    file never does: if no other can be written, it is moved aside. Where only the
    plain core runs, a scan is left to FileStorage, which is faster then.

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
        if _is_left_to_filestorage(source.end):
            return _kept(source, problem, None, source.end)
        return _build(source, problem, _unseen)
    judged = judge(source, saved)
    if not judged.why_not:
        return _brought_up(source, saved, judged)
    if source.end > SOON and _is_left_to_filestorage(source.end):
        return _removed(source, judged.why_not, source.end)
    try:
        return _build(source, judged.why_not, _unseen)
    except ZMountError:
        with suppress(OSError):
            index.replace(index.with_name(index.name + ".foreign"))
        raise


def _is_left_to_filestorage(size: int) -> bool:
    """True if FileStorage reads so many bytes sooner than we do, or soon enough."""
    return size <= SOON or chosen().name in SLOW_CORES


def _brought_up(source: Source, saved: SavedIndex, judged: Judged) -> Indexed:
    """Let FileStorage take the index SAVED, which is right, and read little after it."""
    end = judged.end
    if not saved.buckets and saved.position >= SMALLEST:
        return _removed(source, "FileStorage would not have opened the file", end)
    is_near = end - saved.position <= SOON and judged.is_taken
    position = 0 if is_near or end <= SOON else last_taken(source, end)
    if not position or (judged.is_taken and position == saved.position):
        return _kept(source, "", saved, end)
    behind = f"it ended {end - saved.position:,} bytes before the file did"
    why = behind if judged.is_taken else "FileStorage would have refused it"
    content = moved_content(source, end, saved)
    if content is None and _is_left_to_filestorage(end):
        return _kept(source, why, saved, end)
    if content is None:
        return _build(source, why, _unseen)
    return _write(source, content, "updated", why, end)


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
    end, content = _scanned(source, progress)
    return _write(source, content, "built", why, end)


def _scanned(source: Source, progress: Progress) -> tuple[int, IndexContent]:
    """Return where the file ends, and what is to be in its index."""
    end = last_end(source)
    if end is not None:
        try:
            return end, scanned_content(source, end, progress)
        except CorruptFile:
            pass  # perhaps the end is not what it looked like
    end = committed_end(source)
    return end, scanned_content(source, end, progress)


def _write(source: Source, content: IndexContent, done: str, why: str, end: int) -> Indexed:
    buckets = iter(content.buckets)
    first = next(buckets, None)
    if first is None:
        return _removed(source, why, end)
    path = index_path(source.path)
    objects = write_buckets(path, content.position, chain((first,), buckets), source.path)
    return Indexed(
        path=source.path,
        done=done,
        why=why,
        objects=objects + content.later,
        position=content.position,
        end=end,
    )


def _removed(source: Source, why: str, end: int) -> Indexed:
    """Remove an index that is not to be taken.

    With one of no object FileStorage reads before the start of its file, and fails.
    """
    index_path(source.path).unlink(missing_ok=True)
    return replace(_kept(source, why, None, end), done="removed")


def _unseen(done: int, of: int) -> None:
    pass
