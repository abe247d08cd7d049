"""What packs and swaps did, one line of JSON for each, the newest last.

``pack-history.jsonl`` and ``swap-history.jsonl`` are in zmount's own directory. Lines
are appended whole and under a lock, by whoever acts; a line that a full disk or a
power cut halved is passed over by readers and closed by the next writer.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from zmount.plan.manifest import STATE
from zmount.topology.hosts import Host

LARGEST = 8 * 1024 * 1024  # bytes; some ten thousand records
KEPT = LARGEST // 2

Kind = Literal["pack", "swap"]


def history_file(host: Host, what: Kind) -> Path:
    """Return where it stands WHAT was done to HOST's storages."""
    return Path(host.directory / STATE / f"{what}-history.jsonl")


def remember(path: Path, record: dict[str, Any]) -> None:
    """Append RECORD to the history PATH; half of one that has grown large is dropped.

    :raises OSError: it cannot be written
    """
    line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
    with _locked(path) as descriptor:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            line = b"\n" + line
        _write(descriptor, line)
        os.fsync(descriptor)
        if size + len(line) > LARGEST:
            _shorten(path, descriptor, size + len(line))


def history(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the records in PATH that can be read, oldest first; none without the file.

    :raises OSError: it may not be read
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            yield record


def last_record(path: Path, storage: str) -> dict[str, Any] | None:
    """Return the newest record of STORAGE in PATH; None if there is none, or none may be read."""
    try:
        return next(
            (each for each in reversed(list(history(path))) if each.get("storage") == storage),
            None,
        )
    except OSError:
        return None


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    """Yield a descriptor that holds the lock of the file that PATH is now."""
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is(path, descriptor):
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _is(path: Path, descriptor: int) -> bool:
    """False if whoever held the lock before replaced the file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _write(descriptor: int, line: bytes) -> None:
    while line:
        line = line[os.write(descriptor, line) :]


def _shorten(path: Path, descriptor: int, size: int) -> None:
    """Replace PATH by its last lines; whoever waits for the lock takes the new file's."""
    _, _, kept = os.pread(descriptor, KEPT, size - KEPT).partition(b"\n")
    new = path.with_name(path.name + ".new")
    new.write_bytes(kept)
    new.chmod(0o600)
    new.replace(path)
