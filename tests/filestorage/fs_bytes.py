"""A FileStorage's bytes, made by hand: also such as no FileStorage would write.

And what ZODB's own reader says of them, to compare with.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ZODB.FileStorage.format import FileStorageFormatter
from ZODB.utils import u64

MAGIC = b"FS30"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A data record; ``back`` is written where there is no ``data``.

    None stands for what is right: ``tid``, ``owner`` and ``length``.
    """

    oid: int
    data: bytes = b""
    back: int = 0
    previous: int = 0
    tid: int | None = None
    owner: int | None = None
    version: int = 0
    length: int | None = None

    def at(self, position: int, tid: int) -> bytes:
        """Return its bytes in the transaction at POSITION."""
        header = struct.pack(
            ">QQQQHQ",
            self.oid,
            tid if self.tid is None else self.tid,
            self.previous,
            position if self.owner is None else self.owner,
            self.version,
            len(self.data) if self.length is None else self.length,
        )
        return header + (self.data or struct.pack(">Q", self.back))


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction:
    """A transaction; None stands for the right length."""

    tid: int
    records: tuple[Record, ...] = ()
    status: bytes = b" "
    user: bytes = b""
    description: bytes = b""
    extension: bytes = b""
    length: int | None = None
    length_at_end: int | None = None

    def at(self, position: int) -> bytes:
        """Return its bytes at POSITION."""
        words = self.user + self.description + self.extension
        content = b"".join(record.at(position, self.tid) for record in self.records)
        length = 23 + len(words) + len(content)
        sizes = len(self.user), len(self.description), len(self.extension)
        said = length if self.length is None else self.length
        header = struct.pack(">QQcHHH", self.tid, said, self.status, *sizes)
        at_end = said if self.length_at_end is None else self.length_at_end
        return header + words + content + struct.pack(">Q", at_end)


def file_of(*transactions: Transaction) -> bytes:
    """Return the bytes of a FileStorage that holds TRANSACTIONS."""
    content = MAGIC
    for transaction in transactions:
        content += transaction.at(len(content))
    return content


def commits(*oids: Iterable[int], data: bytes = b"cA\nB\n.}.") -> bytes:
    """Return a FileStorage where a transaction after the other writes these OIDS."""
    return file_of(
        *(
            Transaction(tid=number, records=tuple(Record(oid=oid, data=data) for oid in each))
            for number, each in enumerate(oids, 1)
        )
    )


class _Reader(FileStorageFormatter):  # type: ignore[misc]
    def __init__(self, file: Any) -> None:
        self._file = file


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A record as ZODB reads it, by its position."""

    oid: int
    position: int
    length: int
    back: int
    previous: int
    owner: int

    @property
    def words(self) -> tuple[int, ...]:
        """As ``_records`` tells it."""
        return self.oid, self.position, self.length, self.back, self.previous, self.owner


def read_by_zodb(path: Path) -> list[Read]:
    """Return the records of the data file PATH, which has no torn end."""
    found = []
    with path.open("rb") as file:
        reader = _Reader(file)
        position, end = 4, path.stat().st_size
        while position < end:
            transaction = reader._read_txn_header(position)
            at, stop = position + transaction.headerlen(), position + transaction.tlen
            while at < stop and transaction.status != "u":
                record = reader._read_data_header(at)
                read = Read(
                    oid=u64(record.oid),
                    position=at,
                    length=record.plen,
                    back=record.back,
                    previous=record.prev,
                    owner=record.tloc,
                )
                found.append(replace(read, back=0) if record.plen else read)
                at += record.recordlen()
            position = stop + 8
    return found
