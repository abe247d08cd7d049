"""Entries of log files of any size: the last ones, or those since a moment, rotated files too.

Nothing is read that is not needed: the last entries are looked for from the end, a moment
by halving, since times only grow.
"""

from __future__ import annotations

import gzip
import os
import re
import resource
import stat
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from zmount.effects.log_entries import LogEntry, RawEntry, grouped
from zmount.effects.log_format import LogFormat, Start

BLOCK = 64 * 1024  # what is read at a time where little is enough
MOST_FROM_THE_END = 16 * 1024 * 1024  # in which the last entries are looked for
PROBE = 1024 * 1024  # in which a line with a time must be, to halve further
UNTIMED = 256 * 1024  # what is told of a log without any time
LONGEST_LINE = 64 * 1024  # what is longer comes in pieces
_WAITING = 1000  # entries without time until one has it
# as logrotate (with dateext, too), Python's handlers and zmount call them
_OLD = re.compile(r"(?:\.\d{1,6}|[.-]\d{4}[\d_.-]*)(\.gz)?")

Complain = Callable[[str], None]
EntriesAfter = Callable[[int], Iterable[LogEntry]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file of a log, open: the log itself, or a rotated one; ``size`` is its end then."""

    path: Path
    file: BinaryIO
    size: int
    modified: float
    is_compressed: bool = False


def open_sources(log: PurePosixPath, since: float | None, complain: Complain) -> list[Source]:
    """Return the files of LOG that hold entries from SINCE on, the oldest first.

    Without SINCE, LOG and the newest rotated file. What is not there is no cause to COMPLAIN.
    """
    path = Path(log)
    sources = [_opened(path, complain)]  # first: it may be renamed meanwhile, and is then known
    known = {_id(each) for each in sources if each is not None}
    old = [each for each in old_files(path, complain) if since is None or each[0] >= since]
    for _, name in reversed(old):  # the newest first
        if since is None and (len(sources) > 1 or name.suffix == ".gz"):
            break
        source = _opened(name, complain)
        if source is not None and _id(source) not in known:
            known.add(_id(source))
            sources.append(source)
    return [each for each in reversed(sources) if each is not None]


def last_entries(
    source: Source, count: int, entries_after: EntriesAfter, begin: int | None
) -> list[LogEntry]:
    """Return the last COUNT entries of SOURCE; fewer if there are not so many.

    ENTRIES_AFTER gives those after an offset. They are looked for back to the offset BEGIN;
    None: within MOST_FROM_THE_END.
    """
    size = source.size if source.is_compressed else BLOCK
    lowest = 0 if begin is None else begin
    while True:
        at = max(lowest, source.size - size)
        found = list(deque(entries_after(at), maxlen=count))
        if len(found) >= count or at == lowest:
            return found
        if begin is None and size >= MOST_FROM_THE_END:
            return found
        size *= 4


def entries_from(
    source: Source, format_: LogFormat, at: int, complain: Complain
) -> Iterator[RawEntry]:
    """Yield the entries of SOURCE that begin at the offset AT or after it."""
    raws = grouped(_lines(source, at, complain), format_)
    if at == 0 or format_.is_loose:
        return raws
    return _from_first_start(raws)


def offset_of(source: Source, format_: LogFormat, since: float) -> int:
    """Return an offset of SOURCE before which no entry is from SINCE or later.

    It is a little lower than need be, for entries that are not in order.
    """
    if source.is_compressed:
        return 0
    if _probe(source, format_, max(0, source.size - PROBE), source.size) is None:
        return max(0, source.size - UNTIMED)
    low, high = 0, source.size
    while high - low > BLOCK:
        middle = (low + high) // 2
        found = _probe(source, format_, middle, high)
        if found is not None and found.time < since:
            low = middle
        else:
            high = middle
    return max(0, low - BLOCK)


def timed(name: str, raws: Iterable[RawEntry], otherwise: float) -> Iterator[LogEntry]:
    """Yield RAWS as entries of the log NAME; what has no time gets its neighbour's.

    That is the one before it, at the begin the one after it; OTHERWISE where none is near.
    """
    before: float | None = None
    waiting: list[RawEntry] = []
    for raw in raws:
        if raw.start is not None:
            before = raw.start.time
        elif before is None:
            waiting.append(raw)
            if len(waiting) < _WAITING:
                continue
            before = otherwise
        yield from (_entry(name, each, before) for each in waiting if each is not raw)
        waiting = []
        yield _entry(name, raw, before)
    yield from (_entry(name, each, otherwise) for each in waiting)


def allow_many_files() -> None:
    """Let this process have as many files open as it may: there are several for each log."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # a system that has another limit behind this one
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def whole_lines(source: Source) -> int:
    """Return the offset in SOURCE after its last line end; what follows is not all written yet."""
    at = max(0, source.size - LONGEST_LINE)
    source.file.seek(at)
    tail = source.file.read(source.size - at)
    end = tail.rfind(b"\n")
    return at + end + 1 if end >= 0 else (source.size if at else 0)


def why_not(path: os.PathLike[str], why: BaseException) -> str:
    """Return that PATH cannot be read, and WHY."""
    said = why.strerror if isinstance(why, OSError) and why.strerror else str(why)
    return f"{os.fspath(path)} cannot be read: {said}"


def _entry(name: str, raw: RawEntry, otherwise: float) -> LogEntry:
    start = raw.start or Start(time=otherwise)
    return LogEntry(
        name=name,
        time=start.time,
        lines=raw.lines,
        level=start.level,
        is_timed=raw.start is not None,
    )


def _from_first_start(raws: Iterable[RawEntry]) -> Iterator[RawEntry]:
    has_begun = False
    for raw in raws:
        has_begun = has_begun or raw.start is not None
        if has_begun:
            yield raw


def _probe(source: Source, format_: LogFormat, at: int, stop: int) -> Start | None:
    """Return the first start of an entry after the offset AT, soon and before STOP."""
    for line in _lines(source, at, lambda _: None, min(stop, at + PROBE)):
        start = format_.start(line.decode("utf-8", "replace"))
        if start is not None:
            return start
    return None


def _lines(source: Source, at: int, complain: Complain, stop: int | None = None) -> Iterator[bytes]:
    """Yield the lines of SOURCE that begin at AT or after it, and before STOP."""
    stop = source.size if stop is None else stop
    try:
        source.file.seek(max(0, at - 1))
        at = max(0, at - 1) + (_to_line_end(source.file) if at else 0)
        while source.is_compressed or at < stop:
            line = source.file.readline(LONGEST_LINE)
            if not line:
                return
            at += len(line)
            yield line
    except (OSError, EOFError, zlib.error) as why:
        complain(why_not(source.path, why))


def _to_line_end(file: BinaryIO) -> int:
    """Read FILE up to the end of its line; return how many bytes that were."""
    size = 0
    while piece := file.readline(LONGEST_LINE):
        size += len(piece)
        if piece.endswith(b"\n"):
            break
    return size


def _opened(path: Path, complain: Complain) -> Source | None:
    try:
        # a pipe without a writer would keep us waiting
        file = open(path, "rb", opener=_without_waiting)  # noqa: SIM115
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as why:
        complain(why_not(path, why))
        return None
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        file.close()
        return None
    packed = path.suffix == ".gz"
    return Source(
        path=path,
        file=gzip.GzipFile(fileobj=file) if packed else file,  # type: ignore[arg-type]
        size=status.st_size,
        modified=status.st_mtime,
        is_compressed=packed,
    )


def _id(source: Source) -> tuple[int, int]:
    status = os.fstat(source.file.fileno())
    return status.st_dev, status.st_ino


def old_files(path: Path, complain: Complain) -> list[tuple[float, Path]]:
    """Return the rotated files of the log PATH with the times of their last lines, in order."""
    found: list[tuple[float, Path]] = []
    try:
        for entry in os.scandir(path.parent):
            rest = entry.name.removeprefix(path.name)
            if rest == entry.name or not _OLD.fullmatch(rest):
                continue
            found.append((entry.stat().st_mtime, Path(entry.path)))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as why:
        complain(why_not(path.parent, why))
    return sorted(found)


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
