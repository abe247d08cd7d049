"""What is measured, each in a process of its own: ``measured.py FUNCTION JSON``.

The process gets ready, says so with a line, waits for a line, does the work,
and prints what it found as JSON. So neither Python's start nor the opening of a
storage counts, and whoever asked knows the process's memory before and after.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Figures = dict[str, Any]


class Clock:
    """``with clock.running():`` is what is measured; there is one such block in a function."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Say that all is ready, wait for the sign, and measure the block."""
        print("ready", flush=True)
        sys.stdin.readline()
        start = time.perf_counter()
        yield
        self.seconds = time.perf_counter() - start


def pack(
    clock: Clock, path: str, blob_dir: str | None, pack_time_s: float | None, packer: str | None
) -> Figures:
    """Pack a FileStorage; PACKER is the dotted name of a packer, None is FileStorage's own."""
    from ZODB.FileStorage import FileStorage
    from ZODB.serialize import referencesf

    storage = FileStorage(path, blob_dir=blob_dir, packer=packer and _named(packer))
    with clock.running():
        storage.pack(time.time() if pack_time_s is None else pack_time_s, referencesf)
    start = time.perf_counter()
    _fsync(path)
    fsync_s = time.perf_counter() - start
    figures = {"fsync_s": fsync_s, "objects": len(storage), "size_bytes": storage.getSize()}
    storage.close()
    return figures


def open_without_index(clock: Clock, path: str) -> Figures:
    """Open a FileStorage whose index is missing."""
    from ZODB.FileStorage import FileStorage

    Path(f"{path}.index").unlink()
    with clock.running():
        storage = FileStorage(path)
    figures = {"objects": len(storage)}
    storage.close()
    return figures


def build_index(clock: Clock, path: str) -> Figures:
    """Build and save the index of a FileStorage with zmount."""
    from zmount.filestorage.reindex import build_index as build

    Path(f"{path}.index").unlink()
    with clock.running():
        build(path)
    return {}


def fstest(clock: Clock, path: str) -> Figures:
    """Check a FileStorage with ZODB's fstest."""
    from ZODB.scripts import fstest

    with clock.running():
        fstest.check(path)
    return {}


def fsrefs(clock: Clock, path: str) -> Figures:
    """Check a FileStorage with ZODB's fsrefs."""
    from ZODB.scripts import fsrefs

    with clock.running(), contextlib.redirect_stdout(sys.stderr):
        fsrefs.main(path)
    return {}


def verify(clock: Clock, path: str, blob_dir: str | None) -> Figures:
    """Verify a FileStorage with zmount."""
    from zmount.filestorage.verify import verify

    with clock.running():
        verify(path, blob_dir=Path(blob_dir) if blob_dir else None)
    return {}


def clone(clock: Clock, path: str, directory: str) -> Figures:
    """Clone a FileStorage with zmount: its data file, flushed to the disk, and its index."""
    from zmount.filestorage.clone import clone

    with clock.running():
        clone(path, directory)
    return {}


def copy(clock: Clock, path: str, directory: str, fsync: bool) -> Figures:
    """Copy a file with ``cp``, and flush it to the disk if FSYNC."""
    target = f"{directory}/copied"
    with clock.running():
        subprocess.run(["cp", path, target], check=True)
        if fsync:
            _fsync(target)
    return {}


def _named(dotted: str) -> Any:
    module, name = dotted.rsplit(".", 1)
    return getattr(__import__(module, fromlist=[name]), name)


def _fsync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


FUNCTIONS: dict[str, Callable[..., Figures]] = {
    function.__name__: function
    for function in (pack, open_without_index, build_index, fstest, fsrefs, verify, clone, copy)
}


def main() -> None:
    """Run the function that the command line names."""
    clock = Clock()
    figures = FUNCTIONS[sys.argv[1]](clock, **json.loads(sys.argv[2]))
    print(json.dumps({"seconds": clock.seconds, **figures}))


if __name__ == "__main__":
    main()
