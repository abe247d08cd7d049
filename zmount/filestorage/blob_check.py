"""Is the file of each blob record there, and is there a record for each file?

Source of the layouts: ZODB/blob.py. "bushy" has a directory for each byte of an
oid, "lawn" one for each oid; in it are the files, named by their tids.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ZODB.blob import LAYOUTS, auto_layout_select
from ZODB.utils import p64

from zmount.filestorage.format import MAX_TID, oid_text
from zmount.filestorage.verification import Findings

SUFFIX = ".blob"
BYTES = 8  # directories of the bushy layout, one in the other
MARKED = "0x"


@dataclass(slots=True)
class BlobFiles:
    """The files in a blob directory: ``keys`` are oid and tid of each.

    ``empty`` and ``unreadable`` are some of them, as one number each; ``closed``
    are directories that could not be read, with the reason.
    """

    directory: Path
    layout: str = "bushy"
    keys: array[int] = field(default_factory=lambda: array("Q"))
    empty: set[int] = field(default_factory=set)
    unreadable: set[int] = field(default_factory=set)
    closed: list[tuple[str, str]] = field(default_factory=list)

    def name_of(self, key: int) -> Path:
        """Return where the file with this KEY is, or should be."""
        oid, tid = p64(key >> 64), p64(key & MAX_TID)
        name: str = LAYOUTS[self.layout].getBlobFilePath(oid, tid)
        return self.directory / name


def list_blobs(directory: Path) -> BlobFiles:
    """Return what is in a blob DIRECTORY; temporary files are left out."""
    files = BlobFiles(directory=directory)
    try:
        files.layout = auto_layout_select(str(directory))
    except OSError as why:
        files.closed.append((str(directory), why.strerror or "it cannot be read"))
        return files
    if files.layout not in LAYOUTS:
        files.closed.append((str(directory), f"{files.layout!r} is no layout of ZODB"))
        return files
    depth = 1 if files.layout == "lawn" else BYTES
    may_be_closed = os.geteuid() != 0
    for path, oid in _directories(files, depth):
        for entry in _entries(files, path):
            tid = _number(entry.name.removesuffix(SUFFIX))
            if not entry.name.endswith(SUFFIX) or tid is None:
                continue
            files.keys.extend((oid, tid))
            try:
                size = entry.stat().st_size
            except OSError:
                size = -1
            if size == 0:
                files.empty.add(oid << 64 | tid)
            if size < 0 or (may_be_closed and not os.access(entry.path, os.R_OK)):
                files.unreadable.add(oid << 64 | tid)
    return files


def _directories(files: BlobFiles, depth: int) -> Iterator[tuple[str, int]]:
    """Yield each directory that holds the files of an oid, and the oid."""
    todo = [(str(files.directory), 0, 0)]
    while todo:
        path, above, level = todo.pop()
        if level == depth:
            yield path, above
            continue
        for entry in _entries(files, path):
            number = _number(entry.name)
            if number is None or not _is_directory(entry):
                continue
            if depth == 1:
                todo.append((entry.path, number, 1))
            elif number < 256:
                todo.append((entry.path, above << 8 | number, level + 1))


def _entries(files: BlobFiles, path: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return list(entries)
    except OSError as why:
        files.closed.append((path, why.strerror or "it cannot be read"))
        return []


def _is_directory(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _number(name: str) -> int | None:
    """Return the number that NAME is, as ZODB writes it."""
    try:
        number = int(name, 16)
    except ValueError:
        return None
    return number if name.startswith(MARKED) and number <= MAX_TID else None


def compare_blobs(
    files: BlobFiles,
    records: dict[int, int],
    last_tid: int,
    findings: Findings,
    *,
    are_shared: bool = False,
) -> None:
    """Say which of the blob RECORDS have no file, and which FILES no record.

    :param records: oid and tid, as one number, and the record's position,
        negative where it is not the object's current one
    :param last_tid: files of later transactions are none of our business
    :param are_shared: nor are those that no record names: others may need them
    """
    for path, reason in files.closed:
        findings.error("blob", f"the directory {path} cannot be read: {reason}")
    if files.closed and not files.keys:
        return  # to say it of each blob would say no more
    keys = files.keys
    found = {keys[at] << 64 | keys[at + 1] for at in range(0, len(keys), 2)}
    for key, place in records.items():
        if key not in found:
            oid, name = key >> 64, files.name_of(key)
            if place > 0:
                findings.error("blob", f"its file {name} is missing", offset=place, oid=oid)
            else:
                reason = f"the file {name} of an earlier revision is missing"
                findings.warning("blob", reason, offset=-place, oid=oid)
    for key in files.unreadable & records.keys() if are_shared else files.unreadable:
        name = files.name_of(key)
        findings.error("blob", f"its file {name} cannot be read", oid=key >> 64)
    for key in files.empty & records.keys():
        name = files.name_of(key)
        findings.warning("blob", f"its file {name} is empty", oid=key >> 64)
    if not are_shared:
        _tell_unnamed(files, found - records.keys(), last_tid, findings)


def _tell_unnamed(files: BlobFiles, keys: set[int], last_tid: int, findings: Findings) -> None:
    """Say that no record names the files with these KEYS."""
    for key in keys:
        oid, tid = key >> 64, key & MAX_TID
        if tid <= last_tid:
            name = files.name_of(key)
            reason = f"no record of oid {oid_text(oid)} belongs to the file {name}"
            findings.warning("blob", reason)
