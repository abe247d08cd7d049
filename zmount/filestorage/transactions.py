"""The transactions of a data file by their headers: who, when, how many objects.

Only headers are read, so that this is quick however large the records are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zmount.filestorage.format import DATA_HEADER, FIRST, TRANSACTION_HEADER
from zmount.filestorage.source import Source, committed_end, header_length, read_at

BACK_POINTER = 8  # follows a record's header where its length is 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A transaction of a data file, from byte ``start`` to ``end``."""

    tid: bytes
    user: str
    description: str
    start: int
    end: int


def transactions(
    source: Source, start: int = FIRST, end: int | None = None
) -> Iterator[Transaction]:
    """Yield the complete transactions of SOURCE from byte START on, up to END.

    :raises CorruptFile: the file is damaged
    """
    stop = committed_end(source, start) if end is None else end
    position = start
    while position < stop:
        head = read_at(source, position, TRANSACTION_HEADER)
        user, description, _ = (int.from_bytes(head[at : at + 2], "big") for at in (17, 19, 21))
        texts = read_at(source, position + TRANSACTION_HEADER, user + description)
        following = position + int.from_bytes(head[8:16], "big") + 8
        yield Transaction(
            tid=head[:8],
            user=texts[:user].decode(errors="replace"),
            description=texts[user:].decode(errors="replace"),
            start=position,
            end=following,
        )
        position = following


def oids_of(source: Source, transaction: Transaction) -> frozenset[bytes]:
    """Return the oids of the objects that TRANSACTION of SOURCE wrote."""
    head = read_at(source, transaction.start, TRANSACTION_HEADER)
    position, oids = transaction.start + header_length(head), set()
    while position < transaction.end - 8:
        record = read_at(source, position, DATA_HEADER)
        oids.add(record[:8])
        length = int.from_bytes(record[34:42], "big")
        position += DATA_HEADER + (length or BACK_POINTER)
    return frozenset(oids)
