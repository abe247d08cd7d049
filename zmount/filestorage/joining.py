"""Puts the transactions of one data file behind those of another, as if written there.

Records say where others are: the transaction that they belong to, the object's previous
record, and the one whose data they have. All of these move. An object's first record
in the later file gets its last one in the earlier file for its previous one; not so
what a pack has written: between the two there may have been others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from zmount.errors import StorageUnreadable
from zmount.filestorage.cores import chosen
from zmount.filestorage.format import DATA_HEADER, FIRST, new_cursor, oid_text
from zmount.filestorage.index import SavedIndex, read_index
from zmount.filestorage.index_check import judge
from zmount.filestorage.index_content import content_of
from zmount.filestorage.reindex import index_path
from zmount.filestorage.source import Source, batches

PACKED = ord("p")  # the status of a transaction that a pack has copied
BACK_POINTER = 8  # bytes after a record's header where its length is 0
AT_ONCE = 512  # records between two reports of progress

Progress = Callable[[int, int], None]


def append(
    source: Source, end: int, target: BinaryIO, before: LastPlaces, progress: Progress
) -> None:
    """Write the transactions of SOURCE up to END into TARGET, behind all that BEFORE knows.

    TARGET stands there. What is written is neither flushed nor on the disk.

    :raises CorruptFile: SOURCE is damaged, or has transactions that are not later
    :raises StorageUnreadable: what BEFORE knows is of another file
    :raises OSError: no space, or the disk is broken
    """
    core, buffer, moved = chosen().records, source.buffer, before.end - FIRST
    done = FIRST
    for found, count in batches(source, new_cursor(FIRST, before.tid), end, size=AT_ONCE):
        for at in range(0, core.RECORD_FIELDS * count, core.RECORD_FIELDS):
            oid, place, length, back, previous, owner = found[at : at + core.RECORD_FIELDS]
            if previous:
                previous += moved
            elif buffer[owner + 16] != PACKED:
                previous = before.of(oid)
            target.write(buffer[done : place + 16])
            target.write(_word(previous) + _word(owner + moved))
            done = place + 32
            if not length:
                target.write(buffer[done : place + DATA_HEADER])
                target.write(_word(back + moved if back else 0))
                done = place + DATA_HEADER + BACK_POINTER
        progress(done, end)
    target.write(buffer[done:end])
    progress(end, end)


def _word(number: int) -> bytes:
    return number.to_bytes(8, "big")


class LastPlaces:
    """Where each object's last record is in SOURCE, whose last transaction is TID.

    ``saved`` is an index of SOURCE, right up to where it ends; ``is_scanned``: none was saved.
    """

    def __init__(self, source: Source, tid: int, progress: Progress) -> None:
        self._source = source
        self.end = source.end
        self.tid = tid
        saved = _right_index(source)
        self.is_scanned = saved is None
        self.saved = saved or _scanned(source, progress)
        self._later: dict[int, int] = {}
        fields = chosen().records.RECORD_FIELDS
        for found, count in batches(source, new_cursor(self.saved.position)):
            for at in range(0, fields * count, fields):
                self._later[found[at]] = found[at + 1]

    def of(self, oid: int) -> int:
        """Return the position of the object's last record; 0: there is none.

        :raises StorageUnreadable: the saved index is another file's
        """
        place = self._later.get(oid) or self.saved.position_of(oid)
        if place and self._source.buffer[place : place + 8] != oid.to_bytes(8, "big"):
            index = index_path(self._source.path)
            raise StorageUnreadable(
                f"{index}: at byte {place} of its file is no record of oid {oid_text(oid)}",
                hint=f"remove {index}; without it the file itself is read",
            )
        return place


def _right_index(source: Source) -> SavedIndex | None:
    try:
        saved = read_index(index_path(source.path))
    except StorageUnreadable:
        return None
    return saved if saved is not None and not judge(source, saved).why_not else None


def _scanned(source: Source, progress: Progress) -> SavedIndex:
    content = content_of(source, source.end, None, progress)
    return SavedIndex(position=content.position, buckets=dict(content.buckets))
