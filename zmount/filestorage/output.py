"""The file that a pack writes: one thread fills buffers, another one writes them.

Writing begins while the next buffer is being filled, at the disk's pace: what
piles up in memory would be waited for by every commit of the storage that is
being packed.
"""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from zmount.filestorage.file_copy import PIECE, Pace
from zmount.filestorage.index import own_as

BUFFER = 1 << 22  # bytes; two of them
WRITTEN_AT_ONCE = 1 << 16  # bytes: below it another thread costs more than it brings


class Measure:
    """An output that goes nowhere: only its size is wanted."""

    def __init__(self) -> None:
        self.buffer = bytearray(BUFFER)

    def put(self, count: int) -> None:
        """Forget the first COUNT bytes of the buffer."""


class Output:
    """A new file at ``path``, written from two buffers; owner and mode are those of ``like``.

    What lies at ``path`` is replaced.

    Fill ``buffer``, then call :meth:`put`. Nothing is safe before :meth:`sync`.

    :raises OSError: from any method, once writing has failed
    """

    def __init__(self, path: Path, like: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        own_as(self.descriptor, like)
        self.buffer = bytearray(BUFFER)
        self.size = 0
        self._other = bytearray(BUFFER)
        self._written = 0
        self._pace = Pace(self.descriptor)
        self._thread = ThreadPoolExecutor(1, "write")
        self._pending: Future[None] | None = None

    def __enter__(self) -> Output:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.shutdown()
        os.close(self.descriptor)

    def put(self, count: int) -> None:
        """Write the first COUNT bytes of the buffer; another buffer takes its place."""
        self._wait()
        full, self.buffer, self._other = self.buffer, self._other, self.buffer
        if count < WRITTEN_AT_ONCE:
            self._write(full, count)
        else:
            self._pending = self._thread.submit(self._write, full, count)
        self.size += count

    def sync(self) -> None:
        """Wait until all that was put is on the disk."""
        self._wait()
        os.fsync(self.descriptor)

    def _wait(self) -> None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            pending.result()

    def _write(self, full: bytearray, count: int) -> None:
        with memoryview(full)[:count] as rest:
            done = 0
            while done < count:
                try:
                    put = os.write(self.descriptor, rest[done : done + PIECE])
                except OSError as why:
                    raise OSError(why.errno, why.strerror, str(self.path)) from None
                done += put
                self._written += put
                self._pace.written(self._written)
