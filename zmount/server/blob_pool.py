"""The blobs of a stage's bases: one directory of hard links for all generations.

A blob's file is named by object and transaction, and never changes, so one more
does no harm to an older generation. The first time all of production's are
linked, by a child process; later those of the transactions since.

What production has dropped since has no other link. Only older generations may
need it; a list in the newer one says what goes with them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from ZODB.blob import FilesystemHelper, is_blob_record
from ZODB.POSException import POSKeyError
from ZODB.utils import p64

from zmount.filestorage.blob_copy import BlobCopy
from zmount.filestorage.child import command, environment
from zmount.filestorage.cores import chosen
from zmount.filestorage.format import FIRST, MAX_TID, new_cursor, words
from zmount.filestorage.pack_files import write_durably
from zmount.filestorage.references import References
from zmount.filestorage.source import (
    BATCH,
    Source,
    batches,
    last_tid,
    open_source,
    raise_if_corrupt,
)
from zmount.server.freezing import Moment, SwapRefused
from zmount.server.generations import NEW, Generation, Generations, remove

NICE = 10
PAUSE_S = 0.002  # production's commits come first
PIECE = 50  # links, removals or directories between two pauses

NOTHING = "[]"  # a list of dropped blobs that is empty

T = TypeVar("T")


def prepare_pool(
    blob_dir: Path, generations: Generations, last_transaction: Callable[[], bytes]
) -> tuple[Moment, int]:
    """Return a moment of production of which the pool has all blobs, and how many are new in it.

    :param last_transaction: called for production's, if all are to be linked now
    :raises SwapRefused: that cannot be done
    """
    pool = generations.blobs
    metas = [one.known_meta for one in generations.all()]
    linked = [meta for meta in metas if meta is not None and meta.has_blobs]
    if linked and pool.exists():
        meta = max(linked, key=lambda meta: meta.base_tid)
        tid = bytes.fromhex(meta.base_tid)
        return Moment(tid=tid, end=meta.base_end, inode=meta.base_inode), 0
    tid = last_transaction()
    if pool.exists() and None in metas:  # a damaged one may need what is in it
        until = str(MAX_TID)
        return Moment(tid=tid, end=0, inode=0), _in_child(
            "link_missing", str(blob_dir), str(pool), until
        )
    beside = pool.with_name(pool.name + NEW)
    for unused in (beside, pool):  # no generation needs them
        shutil.rmtree(unused, ignore_errors=True)
    if not any(each.name.startswith("0x") for each in blob_dir.iterdir()):
        FilesystemHelper(str(pool)).create()
        return Moment(tid=tid, end=0, inode=0), 0
    try:
        count = _in_child("link", str(blob_dir), str(beside))
    except SwapRefused:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    beside.rename(pool)
    return Moment(tid=tid, end=0, inode=0), count


def take_blobs(
    blob_dir: Path, generations: Generations, new: Generation, now: Moment, since: Moment
) -> int:
    """Let the pool have the blobs in BLOB_DIR that the base of NEW needs.

    Return how many are new in it.

    :param now: the moment of NEW's base
    :param since: the pool has all that there were then
    :raises SwapRefused: it cannot be done
    """
    with open_source(new.base, now.end) as source:
        start = _end_of(source, since)
        if start is not None:
            return _link_later(source, start, blob_dir, generations.blobs)
    # another history, from a backup say: it may have again what was dropped
    for one in generations.all():
        one.dropped_blobs.unlink(missing_ok=True)
    until = str(int.from_bytes(now.tid, "big"))
    return _in_child("link_missing", str(blob_dir), str(generations.blobs), until)


def _link_later(source: Source, start: int, blob_dir: Path, pool: Path) -> int:
    """Link what the transactions in SOURCE from START on need."""
    source_of = FilesystemHelper(str(blob_dir), "automatic")
    pool_of = FilesystemHelper(str(pool), "automatic")
    count = 0
    for oid, tid in _paced(blobs_from(source, start)):
        target = Path(pool_of.getBlobFilename(oid, tid))
        with suppress(FileNotFoundError):  # a check would find it: it is not there
            count += _linked(source_of.getBlobFilename(oid, tid), target)
    return count


def _paced(steps: Iterable[T]) -> Iterator[T]:
    """Yield the STEPS, with a pause now and then."""
    for number, step in enumerate(steps, 1):
        yield step
        if number % PIECE == 0:
            time.sleep(PAUSE_S)


def _linked(source: str, target: Path) -> bool:
    """Link SOURCE to TARGET; return False if that is there."""
    if target.exists():
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    os.link(source, target)
    return True


def blobs_from(source: Source, start: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield oid and tid of the blobs that SOURCE's transactions from byte START on name."""
    core, references = chosen(), References(source)
    cursor = new_cursor(start)
    found = words(BATCH)
    fields = core.records.RECORD_FIELDS
    for batch, count in batches(source, cursor):
        number_of_blobs = core.check.blobs(source.buffer, batch, count, found)
        for each in found[:number_of_blobs]:
            at = (each >> core.check.DOUBTS) * fields
            position = batch[at + core.records.PLACE]
            if is_blob_record(references.data(position)):
                yield p64(batch[at]), bytes(source.buffer[position + 8 : position + 16])


def _end_of(source: Source, since: Moment) -> int | None:
    """Return where the first transaction after SINCE begins; None: that one is not there."""
    tid = int.from_bytes(since.tid, "big")
    is_same = source.inode == since.inode and since.end <= source.end
    if is_same and last_tid(source, since.end) == tid:
        return since.end
    # packed since: from the end back to that transaction
    records = chosen().records
    cursor = new_cursor(source.end)
    batch = words(BATCH * records.RECORD_FIELDS)
    while records.scan_back(source.buffer, cursor, FIRST, tid, batch):
        pass
    raise_if_corrupt(source.path, cursor)
    position: int = cursor[records.POSITION]
    if position <= FIRST or last_tid(source, position) != tid:
        return None
    return position


def clean_up(generations: Generations, keep: int, content: Any) -> None:
    """Remove generations and blobs that are not to be kept; CONTENT is that of the current one.

    :raises OSError, SwapRefused: it cannot be done
    """
    current = generations.current
    if current is not None and generations.blobs.exists():
        earlier = _not_packed_since(generations, current)
        if earlier is None:
            _list_dropped(generations.blobs, current, content.base)
        elif not current.dropped_blobs.exists():
            write_durably(current.dropped_blobs, earlier)
    for one in generations.outdated(keep):
        remove(one.path)
    kept = generations.all()
    if not kept or not generations.blobs.exists():
        return
    listed = kept[0].dropped_blobs
    if listed.exists() and listed.read_text() != NOTHING:
        _in_child("drop", str(generations.blobs), str(kept[0].dropped_blobs))


def _not_packed_since(generations: Generations, current: Generation) -> str | None:
    """Return the list of the generation before, if that is true of the current one, too.

    Only a pack drops blobs, and it puts another file in production's place. None: the
    pool is to be looked through.
    """
    here = current.meta
    others = {
        meta.base_tid: (meta.base_inode, one)
        for one in generations.all()
        if one != current and (meta := one.known_meta) is not None and meta.has_blobs
    }
    if not here.has_blobs:
        return None
    if not others:
        return NOTHING  # the pool is as new as the generation
    inode, latest = others[max(others)]
    if inode != here.base_inode or not latest.dropped_blobs.exists():
        return None
    return latest.dropped_blobs.read_text()


def _list_dropped(pool: Path, current: Generation, base: Any) -> None:
    """Note which blobs of the pool only older generations than the current one can need."""
    found = current.dropped_blobs.with_suffix(NEW)
    _in_child("list", str(pool), str(found))
    names_of = FilesystemHelper(str(pool), "automatic")
    dropped = []
    for name in _paced(json.loads(found.read_text())):
        oid, tid = names_of.splitBlobFilename(str(pool / name))
        try:  # production may have dropped it after this generation's moment
            base.loadSerial(oid, tid)
        except POSKeyError:
            dropped.append(name)
    write_durably(current.dropped_blobs, json.dumps(dropped))
    found.unlink()


def _in_child(*task: str) -> int:
    """Do TASK in a process of its own, which dies with this one; return its count."""
    done = subprocess.run(
        command(__name__, "main", *task),
        capture_output=True,
        text=True,
        env=environment(),
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise SwapRefused(f"the blobs cannot be linked: {said[-1]}")
    return int(json.loads(done.stdout))


def main(task: str, *words_: str) -> None:
    """What the child does."""
    os.nice(NICE)
    tasks: dict[str, Callable[..., int]] = {
        "link": _link,
        "link_missing": _link_missing,
        "list": _list,
        "drop": _drop,
    }
    print(json.dumps(tasks[task](*words_)))  # noqa: T201


def _link(blob_dir: str, pool: str) -> int:
    copy = BlobCopy(Path(blob_dir), Path(pool), MAX_TID)
    for _ in _paced(copy.run()):
        pass
    return copy.linked + copy.copied


def _link_missing(blob_dir: str, pool: str, until: str) -> int:
    source_of = FilesystemHelper(blob_dir, "automatic")
    pool_of = FilesystemHelper(pool, "automatic")
    count = 0
    for _, directory in _paced(source_of.listOIDs()):
        with suppress(FileNotFoundError):  # a pack removes it; the caller will see
            for blob in Path(directory).iterdir():
                oid, tid = source_of.splitBlobFilename(str(blob))
                if tid is not None and int.from_bytes(tid, "big") <= int(until):
                    count += _linked(str(blob), Path(pool_of.getBlobFilename(oid, tid)))
    return count


def _list(pool: str, path: str) -> int:
    dropped = []
    for directory, _, names in _paced(os.walk(pool)):
        dropped += [
            f"{directory}/{name}"
            for name in names
            if name.endswith(".blob") and os.lstat(f"{directory}/{name}").st_nlink == 1
        ]
    Path(path).write_text(json.dumps([os.path.relpath(each, pool) for each in dropped]))
    return len(dropped)


def _drop(pool: str, path: str) -> int:
    names = json.loads(Path(path).read_text())
    for name in _paced(names):
        Path(pool, name).unlink(missing_ok=True)
    write_durably(Path(path), NOTHING)
    return len(names)
