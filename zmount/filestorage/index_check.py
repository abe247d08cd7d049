"""Does a saved index belong to the data file beside it, and will FileStorage take it?

FileStorage itself looks at five records. So it takes the index of another file
of the same size, and then answers with old or other objects; and it refuses a
right index if an object stands twice in the last transaction, which is how ZEO
stores a blob, and scans the whole file.

Here an index is compared whole where the file is small. Of a larger one the
last transactions are compared both ways, which is where two files with a common
past differ, and a sample of the rest.
"""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass

from ZODB.utils import p64

from zmount.errors import CorruptFile
from zmount.filestorage.cores import chosen
from zmount.filestorage.format import (
    DATA_HEADER,
    FIRST,
    STATUSES,
    TRANSACTION_HEADER,
    new_cursor,
    oid_text,
    words,
)
from zmount.filestorage.index import SavedIndex, buckets_of, sorted_pairs
from zmount.filestorage.objects import Table, scan
from zmount.filestorage.source import (
    Source,
    batches,
    committed_end,
    raise_if_corrupt,
    read_at,
    start_before,
)

WHOLE = 1 << 26  # bytes up to which an index is compared with all of the file: 20 ms
WINDOW = 4096  # records at the end of a larger file that are compared
SAMPLE = 512  # entries before these that are looked up
SMALLEST = 100  # bytes: FileStorage takes no index of less
LOOKED_AT = 5  # records of the last transaction that FileStorage looks at


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A saved index and the file that it should belong to.

    ``why_not`` says why it is not the index of the file; empty: it is. ``end``
    is where the file's last complete transaction ends, if that is known.
    ``is_taken`` tells whether FileStorage will use it.
    """

    why_not: str
    end: int = 0
    is_taken: bool = False


def judge(source: Source, saved: SavedIndex) -> Judged:
    """Compare SAVED with the file.

    :raises CorruptFile: the file is damaged
    """
    position = saved.position
    if position > source.end:
        return Judged(why_not=f"it ends at byte {position}, the file at {source.end}")
    if position != FIRST and start_before(source, position) is None:
        return Judged(why_not=f"it ends at byte {position}, where no transaction ends")
    try:
        end = committed_end(source, position)
    except CorruptFile as why:
        return Judged(why_not=f"it ends at byte {position}: {why.reason} there")
    if why_not := _why_foreign(source, saved):
        return Judged(why_not=why_not)
    return Judged(why_not="", end=end, is_taken=is_taken(source, position))


def _why_foreign(source: Source, saved: SavedIndex) -> str:
    if saved.position - FIRST <= WHOLE:
        table, since = scan(source, saved.position).table, FIRST
    else:
        table, since = _window(source, saved.position)
    pairs = sorted_pairs(table)
    if since == FIRST and dict(buckets_of(pairs)) == saved.buckets:
        return ""
    return (
        _why_unsound(saved, since, len(pairs) // 2)
        or _why_outdated(saved, pairs)
        or _why_wrong_before(source, saved, since)
        or ("it has entries of no record" if since == FIRST else "")
    )


def _window(source: Source, position: int) -> tuple[Table, int]:
    """Return the objects of the last whole transactions before POSITION, and where these begin."""
    core = chosen().records
    cursor, batch, table = new_cursor(position), words(WINDOW * core.RECORD_FIELDS), Table()
    while cursor[core.RECORDS] < WINDOW or cursor[core.TRANSACTION]:
        count = core.scan_back(source.buffer, cursor, FIRST, 0, batch)
        raise_if_corrupt(source.path, cursor)
        if not count:
            break
        table.note(batch, count)
    return table, cursor[core.POSITION]


def _why_unsound(saved: SavedIndex, since: int, expected: int) -> str:
    """Compare what can be said without knowing any oid."""
    core = chosen().index
    found = 0
    for prefix, content in saved.buckets.items():
        is_sorted, highest, later = core.bucket_facts(content, since)
        if not is_sorted or highest >= saved.position:
            return f"its bucket of {prefix.hex()} is damaged"
        found += later
    if found > expected:
        return f"it has {found} objects from byte {since} on, where the file has {expected}"
    return ""


def _why_outdated(saved: SavedIndex, pairs: array[int]) -> str:
    position_of = saved.as_fsindex().get
    for at in range(0, len(pairs), 2):
        oid, position = pairs[at], pairs[at + 1]
        said = position_of(p64(oid), 0)
        if said != position:
            where = f"at byte {said}" if said else "nowhere"
            return f"the last record of oid {oid_text(oid)} is at byte {position}, not {where}"
    return ""


def _why_wrong_before(source: Source, saved: SavedIndex, since: int) -> str:
    """Look up a sample of the objects whose last record is before SINCE."""
    count = len(saved)
    step = max(count / SAMPLE, 1)
    first = random.random() * (step - 1)
    numbers = [int(first + step * number) for number in range(min(count, SAMPLE))]
    looked_up = sorted((position, oid) for oid, position in saved.entries(numbers))
    for position, oid in looked_up:
        if position < since and not _is_record_of(source, oid, position):
            return f"at byte {position} is no record of oid {oid_text(oid)}"
    return ""


def _is_record_of(source: Source, oid: int, position: int) -> bool:
    if position < FIRST + TRANSACTION_HEADER:
        return False
    record = read_at(source, position, DATA_HEADER)
    transaction = int.from_bytes(record[24:32], "big")
    if int.from_bytes(record[:8], "big") != oid or not FIRST <= transaction < position:
        return False
    head = read_at(source, transaction, TRANSACTION_HEADER)
    length = int.from_bytes(head[8:16], "big")
    is_inside = position < transaction + length <= source.end
    return is_inside and head[:8] == record[8:16] and head[16] in STATUSES


def is_taken(source: Source, position: int) -> bool:
    """Return whether FileStorage accepts a right index that ends at POSITION.

    Source: FileStorage._check_sanity. It looks at the first records of the last
    transaction that has any, and wants each to be its object's last.
    """
    return _suspect(source, position) == position


def last_taken(source: Source, end: int) -> int:
    """Return the highest position up to END at which FileStorage accepts a right index.

    0: there is none. From that position on FileStorage reads the file itself.
    """
    position = end
    while (before := _suspect(source, position)) != position:
        position = before
    return position if position >= SMALLEST else 0


def _suspect(source: Source, position: int) -> int:
    """Return POSITION if FileStorage accepts it, else the position to try next; 0: none."""
    top = position
    while top > FIRST and position >= SMALLEST:
        start = start_before(source, top)
        if start is None:
            return 0
        status = read_at(source, start, TRANSACTION_HEADER)[16]
        if status not in STATUSES:
            return 0
        oids = _oids(source, start, top)
        if oids:
            is_right = all(oid not in oids[at + 1 :] for at, oid in enumerate(oids[:LOOKED_AT]))
            return position if is_right else start
        top = start
    return 0


def _oids(source: Source, start: int, end: int) -> list[int]:
    """Return the oids of a transaction's records; none if it was undone."""
    cursor = new_cursor(start)
    fields = chosen().records.RECORD_FIELDS
    oids: list[int] = []
    for found, count in batches(source, cursor, end):
        oids += found[: fields * count : fields]
    return oids
