"""The blobs of a stage's bases: one directory of hard links for all generations.

A blob's file is named by object and transaction, and never changes, so one more
does no harm to an older generation. The first time all of production's are
linked, by a child process; later those of the transactions since.

What production has dropped since has no other link. Only older generations may
need it; a list in the newer one says what goes with them (see cleaning.py).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from ZODB.blob import FilesystemHelper, is_blob_record
from ZODB.utils import p64

from zmount.filestorage.cores import chosen
from zmount.filestorage.format import FIRST, MAX_TID, new_cursor, words
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
from zmount.server.generation import NEW, Generation
from zmount.server.generations import Generations
from zmount.server.new_links import NewLinks, link_all, make_blob_directory
from zmount.server.slow_work import ChildFailed, in_child, paced


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
    # a damaged one may need what is in it
    if pool.exists() and (None in metas or not generations.is_sound):
        until = str(MAX_TID)
        return Moment(tid=tid, end=0, inode=0), _in_child(
            "link_missing", str(blob_dir), str(pool), until
        )
    beside = pool.with_name(pool.name + NEW)
    for unused in (beside, pool):  # no generation needs them
        shutil.rmtree(unused, ignore_errors=True)
    if not any(each.name.startswith("0x") for each in blob_dir.iterdir()):
        make_blob_directory(pool)
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
    links = NewLinks(pool)
    for oid, tid in paced(blobs_from(source, start)):
        with suppress(FileNotFoundError):  # a check would find it: it is not there
            links.take(source_of.getBlobFilename(oid, tid), oid, tid)
    links.flush()
    return links.count


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


def _in_child(task: str, *arguments: str) -> int:
    try:
        return in_child(__name__, task, *arguments)
    except ChildFailed as why:
        raise SwapRefused(f"the blobs cannot be linked: {why}") from None


def link(blob_dir: str, pool: str) -> int:
    """Link all blobs in BLOB_DIR into POOL, which is not there yet; return how many."""
    return link_all(Path(blob_dir), Path(pool))


def link_missing(blob_dir: str, pool: str, until: str) -> int:
    """Link what is not in POOL of the blobs in BLOB_DIR up to transaction UNTIL, a number."""
    source_of = FilesystemHelper(blob_dir, "automatic")
    links = NewLinks(Path(pool))
    for _, directory in paced(source_of.listOIDs()):
        with suppress(FileNotFoundError):  # a pack removes it; the caller will see
            for blob in Path(directory).iterdir():
                oid, tid = source_of.splitBlobFilename(str(blob))
                if tid is not None and int.from_bytes(tid, "big") <= int(until):
                    links.take(str(blob), oid, tid)
    links.flush()
    return links.count
