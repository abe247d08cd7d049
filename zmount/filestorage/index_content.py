"""What is to be in the index of a data file: found by a scan, or from the saved index.

It may end before the file does: FileStorage refuses a right index where an object
stands twice in the last transaction. So it is with every blob that was stored through
ZEO. Then it is the index as it was before, and FileStorage reads what comes after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ZODB.fsIndex import fsIndex
from ZODB.utils import p64

from zmount.filestorage.cores import chosen
from zmount.filestorage.format import FIRST, TRANSACTION_HEADER, WRITTEN, new_cursor
from zmount.filestorage.index import Bucket, SavedIndex
from zmount.filestorage.index_check import last_taken
from zmount.filestorage.objects import scan_into
from zmount.filestorage.places import Places
from zmount.filestorage.source import Source, batches, read_at

FASTER_SCANNED = 4  # part of the file from which on to scan all of it takes no longer

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexContent:
    """What an index says: ``buckets``, of all transactions up to ``position``.

    ``later`` is how many objects were created after it.
    """

    position: int
    buckets: Iterable[Bucket]
    later: int


def content_of(
    source: Source, end: int, saved: SavedIndex | None, progress: Progress
) -> IndexContent:
    """Return what the index of SOURCE up to END is: made of SAVED, if there is a right one.

    :param progress: called with the bytes that are scanned, and with all to scan
    :raises CorruptFile: the file is damaged
    """
    moved = None if saved is None else moved_content(source, end, saved)
    return scanned_content(source, end, progress) if moved is None else moved


def scanned_content(source: Source, end: int, progress: Progress) -> IndexContent:
    """As :func:`content_of`, from all records."""
    position = last_taken(source, end) or end
    places = scan_into(
        Places, source, position, progress=lambda done: progress(done, position - FIRST)
    )
    later = _created(source, position, end, lambda oid: oid in places)
    return IndexContent(position=position, buckets=places.buckets(), later=later)


def moved_content(source: Source, end: int, saved: SavedIndex) -> IndexContent | None:
    """As :func:`content_of`, from the right index SAVED; None: that takes a scan."""
    position = last_taken(source, end) or end
    index = _moved(source, saved, position)
    if index is None:
        return None
    return IndexContent(
        position=position,
        buckets=((prefix, bucket.toString()) for prefix, bucket in index._data.items()),
        later=_created(source, position, end, lambda oid: p64(oid) in index),
    )


def _created(source: Source, start: int, end: int, is_known: Callable[[int], bool]) -> int:
    """Return how many objects have records from START on, but are not known before."""
    fields = chosen().records.RECORD_FIELDS
    oids: set[int] = set()
    for found, count in batches(source, new_cursor(start), end):
        oids.update(oid for oid in found[: fields * count : fields] if not is_known(oid))
    return len(oids)


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
