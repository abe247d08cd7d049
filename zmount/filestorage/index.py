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
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ZODB._compat import Pickler, _protocol

from zmount.errors import StorageUnwritable
from zmount.filestorage.cores import chosen
from zmount.filestorage.format import words
from zmount.filestorage.objects import Table

MODE = 0o666  # of a new file, less the umask


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
    path = Path(path)
    beside = path.with_name(path.name + ".new")
    pairs = sorted_pairs(table, flag)
    try:
        try:
            _write(beside, pairs, position, like)
            beside.replace(path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
        sync_directory(path.parent)
    except OSError as why:
        raise StorageUnwritable(f"{path}: the index cannot be written: {why.strerror}") from None
    return len(pairs) // 2


def _write(
    path: Path, pairs: array[int], position: int, like: str | os.PathLike[str] | None
) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, MODE), "wb") as file:
        pickler = Pickler(file, _protocol)
        pickler.fast = True
        pickler.dump(position)
        for bucket in _buckets(pairs):
            pickler.dump(bucket)
        pickler.dump(None)
        file.flush()
        if like is not None:
            own_as(file.fileno(), like)
        os.fsync(file.fileno())


def _buckets(pairs: array[int]) -> Iterator[tuple[bytes, bytes]]:
    """Yield what fsIndex keeps for each 6 bytes of an oid."""
    core = chosen().mark
    first, count = 0, len(pairs) // 2
    while first < count:
        last = core.same_prefix(pairs, first)
        content = bytearray(8 * (last - first))
        core.bucket(pairs, first, last, content)
        yield pairs[2 * first].to_bytes(8, "big")[:6], bytes(content)
        first = last


def sorted_pairs(table: Table, flag: int = 0) -> array[int]:
    """Return oid and position of TABLE's objects that have FLAG, in the order of oids."""
    core = chosen().mark
    pairs = words(2 * core.pairs_of(table.slots, flag, words(0)))
    core.pairs_of(table.slots, flag, pairs)
    scratch, counts = words(len(pairs)), words(256)
    for digit in range(8):
        if core.sort_pass(pairs, scratch, counts, digit):
            pairs, scratch = scratch, pairs
    return pairs


def own_as(descriptor: int, like: str | os.PathLike[str]) -> None:
    """Give the open file the owner and mode of the file LIKE, as far as that is permitted."""
    wanted, found = Path(like).stat(), os.fstat(descriptor)
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
