"""What is added to a log, while it is renamed, cut, or not there yet.

A look costs one call of the system where nothing was added, so that hundreds of logs can
be looked at several times a second.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from zmount.effects.log_entries import Grouping, LogEntry, RawEntry
from zmount.effects.log_format import LogFormat
from zmount.effects.log_reading import Complain, Source, old_files, timed, why_not
from zmount.render.log_files import LogFile

LATE_S = 10.0  # in which who writes a renamed log may still add to it
_BLOCK = 1024 * 1024  # what is read of one log at a look
_MARK = 256  # bytes by which a place in a file is known again
_LONGEST_LINE = 64 * 1024


class Follower:
    """Follows LOG from the end of its file FROM_ on; None: from the begin, once it is there.

    ``unreadable`` is why it cannot be read, "" as long as it can.
    """

    def __init__(self, log: LogFile, format_: LogFormat, from_: Source | None) -> None:
        self.log = log
        self.unreadable = ""
        self._format = format_
        self._path = Path(log.path)
        self._now: _Tail | None = None
        self._renamed: list[tuple[_Tail, float]] = []  # and when that was seen
        if from_ is not None:
            # that very file: the name may be another's by now
            self._now = _Tail(os.dup(from_.file.fileno()), Grouping(format_), from_.size)

    def look(self, now: float, complain: Complain) -> list[LogEntry]:
        """Return the entries that were completed since the last look; NOW is the time."""
        raws: list[RawEntry] = []
        self._follow_name(now)
        for tail, since in self._renamed:
            raws += tail.look(self._path)
            if now - since > LATE_S:
                raws += tail.end()
        self._renamed = [each for each in self._renamed if now - each[1] <= LATE_S]
        if self._now is not None:
            raws += self._now.look(self._path)
        if self.unreadable:
            complain(self.unreadable)
        return list(timed(self.log.name, raws, now))

    def _follow_name(self, now: float) -> None:
        """Open the file that has the log's name by now, if it is another one."""
        try:
            status = self._path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return  # renamed, and nothing was written since
        except OSError as why:
            self.unreadable = why_not(self._path, why)
            return
        if self._now is not None and self._now.id == (status.st_dev, status.st_ino):
            return
        new = self._opened()
        if new is None:
            return
        if self._now is not None:
            self._renamed.append((self._now, now))
        self._now = new

    def _opened(self) -> _Tail | None:
        try:
            flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would keep us waiting
            tail = _Tail(os.open(self._path, flags), Grouping(self._format), 0)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as why:
            self.unreadable = why_not(self._path, why)
            return None
        self.unreadable = ""
        return tail


class _Tail:
    """The end of an open file, from the offset AT on."""

    def __init__(self, descriptor: int, grouping: Grouping, at: int) -> None:
        self._descriptor = descriptor
        self._at = at
        self._grouping = grouping
        self._partial = b""
        self._mark = self._read(max(0, self._at - _MARK), self._at)
        self._seen: tuple[int, int] | None = None  # size and time of the last look
        status = os.fstat(descriptor)
        self.id = (status.st_dev, status.st_ino)

    def look(self, path: Path) -> Iterator[RawEntry]:
        """Yield the entries that are complete by now; PATH is the log's name."""
        status = os.fstat(self._descriptor)
        if (status.st_size, status.st_mtime_ns) == self._seen:
            yield from self._flushed()  # quiet since the last look: nothing belongs to it any more
            return
        if self._was_cut(status.st_size):
            yield from self._take(self._rest_in_copy(path))
            self._at, self._mark = 0, b""
        while self._at < status.st_size:
            text = self._read(self._at, min(status.st_size, self._at + _BLOCK))
            if not text:
                break
            self._at += len(text)
            self._mark = (self._mark + text)[-_MARK:]
            yield from self._take(text)
        self._seen = (status.st_size, status.st_mtime_ns)

    def end(self) -> Iterator[RawEntry]:
        """Close the file; yield what was not complete."""
        if self._partial:
            yield from self._take(b"\n")
        yield from self._flushed()
        os.close(self._descriptor)

    def _was_cut(self, size: int) -> bool:
        """True if the file does not go on from where we are: it was copied, and begun anew."""
        if size < self._at:
            return True
        return self._read(self._at - len(self._mark), self._at) != self._mark

    def _rest_in_copy(self, path: Path) -> bytes:
        """Return what was added before the file was cut, if the copy made then has it."""
        for _, copy in reversed(old_files(path, lambda _: None)):
            if copy.suffix == ".gz":
                continue
            try:
                with copy.open("rb") as file:
                    file.seek(self._at - len(self._mark))
                    if file.read(len(self._mark)) == self._mark:
                        return file.read()
            except OSError:
                continue
        return b""

    def _take(self, text: bytes) -> Iterator[RawEntry]:
        *lines, self._partial = (self._partial + text).split(b"\n")
        if len(self._partial) > _LONGEST_LINE:
            lines, self._partial = [*lines, self._partial], b""
        for line in lines:
            yield from self._grouping.add(line)

    def _flushed(self) -> Iterator[RawEntry]:
        if not self._partial:
            yield from self._grouping.flush()

    def _read(self, start: int, stop: int) -> bytes:
        return os.pread(self._descriptor, stop - start, start)
