"""How much of a storage an object and what lies below it take.

An object that took a mount point's place, say a copy of the site, lies in the root's
storage with all that it refers to: that is what makes a root grow.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ZODB.blob import LAYOUTS
from ZODB.utils import z64

from zmount.effects.raw_file import DataFile
from zmount.effects.raw_records import RawDatabase
from zmount.filestorage.format import DATA_HEADER
from zmount.filestorage.references import References

BLOB = "ZODB.blob.Blob"
_BLOB_NAME = b"ZODB.blob"
_NAMED_WITHIN = 64  # bytes of a record, in which its class is named
_LAYOUT_FILE = ".layout"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lying:
    """What lies in a storage: how many objects, the bytes of their records, of their blobs.

    ``last_tid`` is of the transaction that wrote one of these objects last.
    """

    objects: int = 0
    record_bytes: int = 0
    blob_bytes: int = 0
    last_tid: bytes = z64

    @property
    def size_bytes(self) -> int:
        """All bytes of the disk that it takes."""
        return self.record_bytes + self.blob_bytes


@dataclass(slots=True)
class _Count:
    objects: int = 0
    record_bytes: int = 0
    last_tid: bytes = z64
    blobs: list[tuple[bytes, bytes]] = field(default_factory=list)  # oid and tid


def lying_below(
    database: RawDatabase, oid: bytes, *, above: Iterable[bytes] = (), blob_dir: Path | None = None
) -> Lying:
    """Return what OID and all that it leads to take of DATABASE.

    Never beyond the database: what is mounted below does not count. The objects ABOVE,
    which OID may refer to, neither count nor are followed. Blobs count where BLOB_DIR
    is the directory of the storage's own.

    :raises StorageUnreadable: a record is damaged
    """
    storage = database.storage
    count = (
        _count_in_file(storage, oid, above)
        if isinstance(storage, DataFile)
        else _count(database, oid, above)
    )
    return Lying(
        objects=count.objects,
        record_bytes=count.record_bytes,
        blob_bytes=sum(_blob_sizes(blob_dir, count.blobs)) if blob_dir is not None else 0,
        last_tid=count.last_tid,
    )


def _count_in_file(file: DataFile, oid: bytes, above: Iterable[bytes]) -> _Count:
    """Follow the references of a file in waves, as a pack does."""
    references = References(file.source, report=lambda why: None)
    buffer, count = file.source.buffer, _Count()
    seen = {int.from_bytes(each, "big") for each in (oid, *above)}
    todo = [int.from_bytes(oid, "big")]
    while todo:
        places = array("Q", filter(None, map(file.position, todo)))
        todo = []
        for place in places:
            count.objects += 1
            count.record_bytes += file.stored_bytes(place)
            count.last_tid = max(count.last_tid, _tid_at(file, place))
            start = place + DATA_HEADER
            if _BLOB_NAME in bytes(buffer[start : start + _NAMED_WITHIN]):
                count.blobs.append((bytes(buffer[place : place + 8]), _tid_at(file, place)))
        for _, done, oids, ends in references.of(places, len(places)):
            for child in oids[: ends[done - 1]]:
                if child not in seen:
                    seen.add(child)
                    todo.append(child)
    return count


def _tid_at(file: DataFile, place: int) -> bytes:
    return bytes(file.source.buffer[place + 8 : place + 16])


def _count(database: RawDatabase, oid: bytes, above: Iterable[bytes]) -> _Count:
    """Follow the references of any storage, record by record."""
    count, seen, todo = _Count(), {oid, *above}, [oid]
    while todo:
        found = database.references(each := todo.pop())
        if found is None:
            continue
        references, size_bytes, tid = found
        count.objects += 1
        count.record_bytes += DATA_HEADER + size_bytes
        count.last_tid = max(count.last_tid, tid)
        for reference in references:
            if reference.database or reference.is_weak or reference.oid in seen:
                continue
            seen.add(reference.oid)
            todo.append(reference.oid)
            if reference.class_name == BLOB and (blob := database.record(reference.oid)):
                count.blobs.append((blob.oid, blob.tid))
        del each
    return count


def _blob_sizes(blob_dir: Path, blobs: Iterable[tuple[bytes, bytes]]) -> Iterator[int]:
    """Yield the size of each blob's file that is there."""
    try:
        layout = LAYOUTS[(blob_dir / _LAYOUT_FILE).read_text().strip()]
    except (OSError, KeyError):
        return
    for oid, tid in blobs:
        try:
            yield (blob_dir / layout.getBlobFilePath(oid, tid)).stat().st_size
        except OSError:
            continue
