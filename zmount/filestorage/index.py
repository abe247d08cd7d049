"""The index that FileStorage saves beside its data file: oid -> position of the last record.

It is what lets a storage open in milliseconds. Source of the format:
ZODB/fsIndex.py. Pickles one after the other: the position up to which the
index is complete; per 6 bytes of an oid a pair of those and a bucket (the keys,
2 bytes each, then the positions, 6 bytes each); None.

An object whose creation was undone stays in it with the position of the record
that says so, as FileStorage keeps it.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ZODB._compat import Pickler, _protocol
from ZODB.fsIndex import fsIndex

from zmount.errors import StorageUnreadable, StorageUnwritable
from zmount.filestorage.cores import chosen
from zmount.filestorage.format import words
from zmount.filestorage.objects import Table

MODE = 0o666  # of a new file, less the umask


Bucket = tuple[bytes, bytes]  # 6 bytes of an oid, and what fsBucket.toString makes of the rest


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedIndex:
    """What an index file says; ``position`` is where the last transaction it knows ends.

    ``buckets`` come in the order of oids, as they must.
    """

    position: int
    buckets: dict[bytes, bytes]

    def __len__(self) -> int:
        return sum(map(len, self.buckets.values())) // 8

    def position_of(self, oid: int) -> int:
        """Return the position of the object's last record; 0: the index does not know it."""
        key = oid.to_bytes(8, "big")
        content = self.buckets.get(key[:6], b"")
        low, high = 0, len(content) // 8
        while low < high:
            middle = (low + high) // 2
            if content[2 * middle : 2 * middle + 2] < key[6:]:
                low = middle + 1
            else:
                high = middle
        if content[2 * low : 2 * low + 2] != key[6:] or 8 * low >= len(content):
            return 0
        return _position_in(content, low)

    def entries(self, numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
        """Yield oid and position of the entries with these NUMBERS, which must ascend."""
        buckets = iter(self.buckets.items())
        before = count = 0
        prefix, content = b"", b""
        for number in numbers:
            while number >= before + count:
                before += count
                prefix, content = next(buckets)
                count = len(content) // 8
            at = number - before
            oid = int.from_bytes(prefix + content[2 * at : 2 * at + 2], "big")
            yield oid, _position_in(content, at)

    def as_fsindex(self) -> fsIndex:
        """Return it as ZODB has it in memory: for changes."""
        index = fsIndex()
        index.__setstate__({"state_version": 1, "_data": list(self.buckets.items())})
        return index


def _position_in(content: bytes, number: int) -> int:
    start = len(content) // 4 + 6 * number
    return int.from_bytes(content[start : start + 6], "big")


def read_index(path: str | os.PathLike[str]) -> SavedIndex | None:
    """Return what the index file PATH says; None: there is no such file.

    Only what FileStorage itself writes is understood, and nothing is unpickled:
    that could call anything.

    :raises StorageUnreadable: it is no index, cut short, or no permission
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as why:
        raise StorageUnreadable(f"{path}: cannot be read: {why.strerror}") from None
    try:
        return _parsed(content)
    except _NoIndex as why:
        raise StorageUnreadable(f"{path}: no index that a FileStorage saved: {why}") from None


def index_position(path: str | os.PathLike[str]) -> int | None:
    """Return up to which byte of the data file the index file PATH knows it; None: no such file.

    Only the first bytes are read, whatever the size.

    :raises StorageUnreadable: it is no index, or no permission
    """
    try:
        with Path(path).open("rb") as file:
            return _Pickles(file.read(_LONGEST_NUMBER)).number()
    except FileNotFoundError:
        return None
    except OSError as why:
        raise StorageUnreadable(f"{path}: cannot be read: {why.strerror}") from None
    except _NoIndex as why:
        raise StorageUnreadable(f"{path}: no index that a FileStorage saved: {why}") from None


class _NoIndex(Exception):
    pass


def _parsed(content: bytes) -> SavedIndex:
    reader = _Pickles(content)
    position = reader.number()
    buckets: dict[bytes, bytes] = {}
    last = b""
    while (bucket := reader.bucket()) is not None:
        prefix, pairs = bucket
        if len(prefix) != 6 or len(pairs) % 8 or not pairs or prefix <= last:
            raise _NoIndex(f"byte {reader.at}: not a bucket that follows the one before")
        buckets[prefix] = pairs
        last = prefix
    return SavedIndex(position=position, buckets=buckets)


class _Pickles:
    """Reads the few forms of pickles that make up an index."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.at = 0

    def number(self) -> int:
        """Read a pickle that is a whole number."""
        self._must_be(b"\x80\x03")
        code = self._take(1)
        size = _NUMBERS.get(code, 0) or (code == b"\x8a" and self._take(1)[0])
        if not size or size > 8:
            raise _NoIndex(f"byte {self.at}: a position is expected here")
        number = int.from_bytes(self._take(size), "little", signed=code in b"J\x8a")
        self._must_be(b".")
        return number

    def bucket(self) -> Bucket | None:
        """Read a pickle that is a pair of bytes, or None."""
        self._must_be(b"\x80\x03")
        if self.content[self.at : self.at + 2] == b"N.":
            return None
        pair = self._bytes(), self._bytes()
        self._must_be(b"\x86.")
        return pair

    def _bytes(self) -> bytes:
        size = {b"C": 1, b"B": 4}.get(self._take(1))
        if size is None:
            raise _NoIndex(f"byte {self.at - 1}: bytes are expected here")
        return self._take(int.from_bytes(self._take(size), "little"))

    def _take(self, count: int) -> bytes:
        taken = self.content[self.at : self.at + count]
        if len(taken) < count:
            raise _NoIndex(f"it is cut short at byte {len(self.content)}")
        self.at += count
        return taken

    def _must_be(self, expected: bytes) -> None:
        if self._take(len(expected)) != expected:
            raise _NoIndex(f"byte {self.at - len(expected)}: {expected!r} is expected here")


_NUMBERS = {b"K": 1, b"M": 2, b"J": 4}  # and LONG1, which says its size
_LONGEST_NUMBER = 16  # bytes of its pickle


def write_index(
    path: str | os.PathLike[str],
    table: Table,
    position: int,
    *,
    flag: int = 0,
    like: str | os.PathLike[str] | None = None,
) -> int:
    """Save what TABLE knows as the index file PATH; return how many objects are in it.

    The file is on the disk with its name when this returns; before, PATH is what
    it was. Only one process at a time may write it.

    :param position: where the last transaction that the table knows ends
    :param flag: only the objects that have this flag of ``_mark``; 0: all
    :param like: a file whose owner and mode the new file gets
    :raises StorageUnwritable: no space, no permission
    """
    return write_buckets(Path(path), position, buckets_of(sorted_pairs(table, flag)), like)


def write_buckets(
    path: Path,
    position: int,
    buckets: Iterable[Bucket],
    like: str | os.PathLike[str] | None = None,
) -> int:
    """Save BUCKETS, in the order of oids, as the index file PATH: see :func:`write_index`."""
    beside = path.with_name(path.name + ".new")
    try:
        try:
            objects = _write(beside, position, buckets, like)
            beside.replace(path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
        sync_directory(path.parent)
    except OSError as why:
        raise StorageUnwritable(f"{path}: the index cannot be written: {why.strerror}") from None
    return objects


def _write(
    path: Path, position: int, buckets: Iterable[Bucket], like: str | os.PathLike[str] | None
) -> int:
    objects = 0
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, MODE), "wb") as file:
        pickler = Pickler(file, _protocol)
        pickler.fast = True
        pickler.dump(position)
        for bucket in buckets:
            pickler.dump(bucket)
            objects += len(bucket[1]) // 8
        pickler.dump(None)
        file.flush()
        if like is not None:
            own_as(file.fileno(), like)
        os.fsync(file.fileno())
    return objects


def buckets_of(pairs: array[int]) -> Iterator[Bucket]:
    """Yield what fsIndex keeps for each 6 bytes of an oid."""
    core = chosen().index
    first, count = 0, len(pairs) // 2
    while first < count:
        last = core.same_prefix(pairs, first)
        content = bytearray(8 * (last - first))
        core.bucket(pairs, first, last, content)
        yield pairs[2 * first].to_bytes(8, "big")[:6], bytes(content)
        first = last


def sorted_pairs(table: Table, flag: int = 0) -> array[int]:
    """Return oid and position of TABLE's objects that have FLAG, in the order of oids."""
    pairs = words(2 * table.core.pairs_of(table.slots, flag, words(0)))
    table.core.pairs_of(table.slots, flag, pairs)
    scratch, counts = words(len(pairs)), words(256)
    for digit in range(8):
        if chosen().index.sort_pass(pairs, scratch, counts, digit):
            pairs, scratch = scratch, pairs
    return pairs


def own_as(descriptor: int, like: str | os.PathLike[str] | int) -> None:
    """Give the open file the owner and mode of the file LIKE, as far as that is permitted.

    :param like: a path, or the descriptor of an open file
    """
    wanted, found = os.stat(like), os.fstat(descriptor)  # noqa: PTH116
    if (wanted.st_uid, wanted.st_gid) != (found.st_uid, found.st_gid):
        with suppress(PermissionError):  # only root may: others write files of their own
            os.fchown(descriptor, wanted.st_uid, wanted.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(wanted.st_mode) & MODE)


def sync_directory(path: Path) -> None:
    """Flush the names in the directory PATH to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
