"""Show the logs of a host's processes and jobs as one stream, in the order of time.

1. which logs does the topology say, and in which formats are they written?
2. of each: the last entries, or those since a moment; rotated files where it reaches back.
3. merge them by their times; what has none stays beside its neighbours.
4. follow: look at all of them again and again, through rotation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice
from math import inf
from pathlib import Path

from zmount.effects.clock import now, pause
from zmount.effects.log_entries import LogEntry
from zmount.effects.log_following import Follower
from zmount.effects.log_format import LogFormat, log_format
from zmount.effects.log_reading import (
    MOST_FROM_THE_END,
    EntriesAfter,
    Source,
    allow_many_files,
    entries_from,
    last_entries,
    offset_of,
    open_sources,
    timed,
    whole_lines,
)
from zmount.operations.process_names import named_processes
from zmount.render.log_files import LogFile, log_files
from zmount.topology.hosts import Host
from zmount.topology.topology import Topology

Complain = Callable[[str], None]
LOOK_EVERY_S = 0.25
_BATCH = 200
_PART = 10  # of the last entries, a log without any time gives no more than the tenth
_BY_PROCESSES = ("event", "access")  # kinds of logs that a process itself writes


@dataclass(frozen=True, slots=True, kw_only=True)
class LogWish:
    """Which entries are asked for.

    ``since``: seconds since the epoch. ``last``: so many at most, the newest of all; None:
    no limit, which needs ``since``. ``only_errors``: of level ERROR and above, or with a
    traceback. ``with_access``: logs of requests, too.
    """

    names: tuple[str, ...] = ()
    since: float | None = None
    last: int | None = 50
    only_errors: bool = False
    with_access: bool = False
    is_following: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Log:
    """A log, how it is written, and its files, the oldest first; ``now`` is what it is now."""

    file: LogFile
    format_: LogFormat
    sources: tuple[Source, ...]
    now: Source | None


def logs(
    topology: Topology, host: Host, wish: LogWish, complain: Complain, note: Complain
) -> Iterator[tuple[LogEntry, ...]]:
    """Yield the entries of HOST's logs that WISH asks for, some at a time, in their order.

    Following, it does not end, and yields an empty tuple where nothing has come. COMPLAIN
    is told of each file that cannot be read, once; NOTE of what was not looked at.

    :raises UnknownName: there is no such process or job on HOST
    """
    complain = _once(complain)
    allow_many_files()
    # of one second, what a process manager says of a start comes before what started
    files = sorted(_chosen(topology, host, wish), key=lambda file: file.kind in _BY_PROCESSES)
    opened = [_open(file, wish, complain) for file in files]
    if wish.last is None:
        found = _since(opened, wish, complain)
    else:
        found = iter(_last(opened, wish, complain, note))
    while batch := tuple(islice(found, _BATCH)):
        yield batch
    followers = [Follower(log.file, log.format_, log.now) for log in opened]
    while wish.is_following:
        looks = [each.look(now(), complain) for each in followers]
        come = merge(*looks, key=_time)
        yield tuple(entry for entry in come if entry.is_error or not wish.only_errors)
        pause(LOOK_EVERY_S)


def log_names(topology: Topology, host: Host, wish: LogWish) -> tuple[str, ...]:
    """Return the names under which entries of HOST's logs are told.

    :raises UnknownName: there is no such process or job on HOST
    """
    return tuple(file.name for file in _chosen(topology, host, wish))


def _open(file: LogFile, wish: LogWish, complain: Complain) -> _Log:
    sources = open_sources(file.path, wish.since, complain)
    current = sources[-1] if sources and sources[-1].path == Path(file.path) else None
    if current is not None and wish.is_following:
        # a line that is being written is the follower's
        current = replace(current, size=whole_lines(current))
        sources[-1] = current
    return _Log(
        file=file,
        format_=log_format(
            file.format_, file.date_format, is_output=file.kind in ("output", "job")
        ),
        sources=tuple(sources),
        now=current,
    )


def _since(opened: list[_Log], wish: LogWish, complain: Complain) -> Iterator[LogEntry]:
    """Yield what the logs OPENED hold since the moment that is asked for."""
    each = (
        _entries(log, source, wish, complain)(_begin(log, source, wish))
        for log in opened
        for source in log.sources
    )
    return merge(*each, key=_time)


def _last(opened: list[_Log], wish: LogWish, complain: Complain, note: Complain) -> list[LogEntry]:
    """Return the last entries of all logs OPENED together."""
    each = [_log_last(log, wish, complain, note) for log in opened]
    if any(_has_times(entries) for entries in each):
        # when what has no time was written is not known: it must not drive out what has one
        most = max(1, (wish.last or 0) // _PART)
        each = [entries if _has_times(entries) else entries[-most:] for entries in each]
    return list(merge(*each, key=_time))[-wish.last :] if wish.last else []


def _has_times(entries: list[LogEntry]) -> bool:
    return any(entry.is_timed for entry in entries)


def _log_last(log: _Log, wish: LogWish, complain: Complain, note: Complain) -> list[LogEntry]:
    """Return the last entries of LOG; rotated files help out a young one."""
    found: list[LogEntry] = []
    for source in reversed(log.sources):
        missing = (wish.last or 0) - len(found)
        if missing <= 0:
            break
        begin = None if wish.since is None else _begin(log, source, wish)
        more = last_entries(source, missing, _entries(log, source, wish, complain), begin)
        found = [*more, *found]
        if len(more) < missing and begin is None and source.size > MOST_FROM_THE_END:
            size = f"{MOST_FROM_THE_END // 2**20} MB"
            note(f"{source.path}: only its last {size} were looked at; --since looks further")
            break
    return found


def _begin(log: _Log, source: Source, wish: LogWish) -> int:
    return 0 if wish.since is None else offset_of(source, log.format_, wish.since)


def _entries(log: _Log, source: Source, wish: LogWish, complain: Complain) -> EntriesAfter:
    """Return what yields the entries of SOURCE, one of LOG's files, that WISH asks for."""
    since = -inf if wish.since is None else wish.since

    def after(at: int) -> Iterator[LogEntry]:
        raws = entries_from(source, log.format_, at, complain)
        for entry in timed(log.file.name, raws, source.modified):
            if entry.time >= since and (entry.is_error or not wish.only_errors):
                yield entry

    return after


def _time(entry: LogEntry) -> float:
    return entry.time


def _chosen(topology: Topology, host: Host, wish: LogWish) -> Iterator[LogFile]:
    """Yield the logs that are asked for; one that several processes write only once."""
    jobs = {each.name for each in topology.schedules if each.is_on(host)}
    named = named_processes(topology, host, wish.names, jobs=jobs)
    chosen = {each.name for each in named}
    known: set[str] = set()
    for file in log_files(topology, host):
        name = file.process.name if file.process is not None else ""
        is_meant = not wish.names or name in chosen or (file.job and file.job in wish.names)
        if is_meant and (file.kind != "access" or wish.with_access) and str(file.path) not in known:
            known.add(str(file.path))
            yield file


def _once(complain: Complain) -> Complain:
    said: set[str] = set()

    def once(text: str) -> None:
        if text not in said:
            said.add(text)
            complain(text)

    return once
