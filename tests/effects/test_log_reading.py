"""Only what is needed of a log is read: its end, or what is since a moment."""

from __future__ import annotations

import datetime as dt
import gzip
import os
import random
from pathlib import Path, PurePosixPath

from zmount.effects.log_entries import LogEntry
from zmount.effects.log_format import log_format
from zmount.effects.log_reading import (
    Source,
    entries_from,
    last_entries,
    offset_of,
    open_sources,
    timed,
)
from zmount.render.log_files import ZCONFIG_DATE_FORMAT, ZCONFIG_FORMAT

FORMAT = log_format(ZCONFIG_FORMAT, ZCONFIG_DATE_FORMAT)
BEGAN = 1795000000


def refuse(text: str) -> None:
    raise AssertionError(text)


def lines(first: int, last: int, more: str = "") -> str:
    """Return an entry for each second from FIRST to before LAST after BEGAN."""
    return "".join(
        f"------\n{dt.datetime.fromtimestamp(BEGAN + at).isoformat()} INFO x {at}\n{more}"
        for at in range(first, last)
    )


def after(source: Source, at: int) -> list[LogEntry]:
    return list(timed("x", entries_from(source, FORMAT, at, refuse), 0.0))


def only(path: Path) -> Source:
    (source,) = open_sources(PurePosixPath(path), None, refuse)
    return source


def test_the_last_entries_are_read_from_the_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(lines(0, 9_000, "  and more of it\n"))
    source = only(log)
    begins: list[int] = []

    def entries_after(at: int) -> list[LogEntry]:
        begins.append(at)
        return after(source, at)

    found = last_entries(source, 3, entries_after, None)

    assert [each.time - BEGAN for each in found] == [8_997, 8_998, 8_999]
    assert min(begins) > 300_000


def test_a_moment_is_found_by_halving_wherever_it_is(tmp_path: Path) -> None:
    log = tmp_path / "log"
    chance = random.Random(6)
    log.write_text("".join(lines(at, at + 1, "  x\n" * chance.randrange(40)) for at in range(4000)))
    source = only(log)

    for since in (*(chance.randrange(4000) for _ in range(8)), -5, 0, 3999, 4005):
        at = offset_of(source, FORMAT, BEGAN + since)
        found = [each for each in after(source, at) if each.time >= BEGAN + since]
        assert len(found) == min(4000, max(0, 4000 - since)), since
        behind = (each.time - BEGAN for each in after(source, at)[:1])
        assert at == 0 or min(since, 4000) - next(behind) < 2000


def test_rotated_files_are_read_as_far_as_the_moment_reaches_back(tmp_path: Path) -> None:
    log = tmp_path / "zeo.log"
    (tmp_path / "zeo.log.2.gz").write_bytes(gzip.compress(lines(0, 10).encode()))
    (tmp_path / "zeo.log.1").write_text(lines(10, 20))
    log.write_text(lines(20, 30))
    (tmp_path / "zeo.log.bak").write_text("mine")
    for at, name in ((9, "zeo.log.2.gz"), (19, "zeo.log.1"), (29, "zeo.log")):
        os.utime(tmp_path / name, (BEGAN + at, BEGAN + at))

    def names(since: float | None) -> list[str]:
        return [each.path.name for each in open_sources(PurePosixPath(log), since, refuse)]

    assert names(BEGAN) == ["zeo.log.2.gz", "zeo.log.1", "zeo.log"]
    assert names(BEGAN + 15) == ["zeo.log.1", "zeo.log"]
    assert names(BEGAN + 25) == ["zeo.log"]
    assert names(None) == ["zeo.log.1", "zeo.log"]
    oldest, *_ = open_sources(PurePosixPath(log), BEGAN, refuse)
    assert [each.time - BEGAN for each in after(oldest, 0)] == list(range(10))


def test_what_cannot_be_read_is_told_and_what_is_not_there_is_not(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    (tmp_path / "bad.1.gz").write_bytes(gzip.compress(lines(0, 10).encode())[:-20])
    told: list[str] = []

    assert open_sources(PurePosixPath(tmp_path / "none/log"), None, refuse) == []
    assert open_sources(PurePosixPath(tmp_path / "directory"), None, told.append) == []
    (bad,) = open_sources(PurePosixPath(tmp_path / "bad"), 0.0, refuse)
    list(entries_from(bad, FORMAT, 0, told.append))

    assert told[0] == f"{tmp_path}/directory cannot be read: Is a directory"
    assert told[1].startswith(f"{tmp_path}/bad.1.gz cannot be read: ")


def test_a_line_without_end_is_read_in_pieces(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(lines(0, 1).encode() + b"x" * 300_000)
    source = only(log)

    (entry,) = after(source, 0)

    assert sum(map(len, entry.lines)) > 300_000
    assert max(map(len, entry.lines)) <= 65536
