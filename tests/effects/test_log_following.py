"""Nothing that is added to a log is missed, however it is rotated meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

import pytest

from zmount.effects.log_following import LATE_S, Follower
from zmount.effects.log_format import LogFormat, log_format
from zmount.effects.log_reading import open_sources
from zmount.render.log_files import LogFile
from zmount.topology.logs import DATE_FORMAT, EVENT_FORMAT

AT = "2026-11-26 03:00:00 INFO [a:1][b] "
FORMAT = log_format(EVENT_FORMAT, DATE_FORMAT)


class Followed:
    """A log that is followed from its end on; its looks are ten seconds apart, or not."""

    def __init__(self, path: Path, format_: LogFormat = FORMAT) -> None:
        self.path = path
        self.told: list[str] = []
        file = LogFile(process=None, kind="event", path=PurePosixPath(path), reopening="never")
        sources = open_sources(file.path, None, self.told.append)
        current = [each for each in sources if each.path == path]
        self._follower = Follower(file, format_, current[0] if current else None)
        self._now = 0.0

    def look(self, seconds: float = 0.25) -> list[str]:
        self._now += seconds
        found = self._follower.look(self._now, self.told.append)
        return ["\n".join(each.lines).replace(AT, "") for each in found]

    def all(self) -> list[str]:
        return self.look() + self.look()

    def add(self, *texts: str, path: Path | None = None) -> None:
        with (path or self.path).open("a") as file:
            file.writelines(f"{AT}{text}\n" for text in texts)


@pytest.fixture
def log(tmp_path: Path) -> Followed:
    path = tmp_path / "log"
    path.write_text(f"{AT}old\n")
    return Followed(path)


def test_what_is_added_is_told_once_and_a_traceback_whole(log: Followed) -> None:
    assert log.all() == []
    log.add("one", "two\nTraceback (most recent call last):\n  File x\nValueError: y", "three")

    assert log.look() == ["one", "two\nTraceback (most recent call last):\n  File x\nValueError: y"]
    assert log.look() == ["three"]  # nothing came: it is complete
    assert log.all() == []


def test_half_a_line_waits_for_its_end(log: Followed) -> None:
    with log.path.open("a") as file:
        file.write(f"{AT}half ")
        file.flush()
        assert log.all() == []
        file.write("and half\n")
    assert log.all() == ["half and half"]


def test_a_renamed_log_is_read_to_its_end_and_the_new_one_from_its_begin(log: Followed) -> None:
    old = log.path.with_name("log.1")
    log.add("one")
    log.path.rename(old)
    log.add("two", path=old)
    assert log.all() == ["one", "two"]
    log.path.touch()  # as logrotate's "create"
    log.add("three", path=old)
    assert log.all() == ["three"]
    log.add("five")
    log.add("four", path=old)
    assert log.all() == ["four", "five"]
    assert log.look(LATE_S + 1) == log.look(LATE_S + 1) == []
    log.add("too late", path=old)
    log.add("six")
    assert log.all() == ["six"]


def test_renamed_twice_between_two_looks_only_what_was_never_seen_is_missed(log: Followed) -> None:
    log.add("one")
    log.path.rename(log.path.with_name("log.1"))
    log.add("two")

    assert log.all() == ["one", "two"]


def test_what_was_copied_before_the_log_was_cut_is_read_from_the_copy(log: Followed) -> None:
    log.add("one")
    assert log.all() == ["one"]
    log.add("two")
    shutil.copy(log.path, log.path.with_name("log.1"))
    log.path.write_text("")
    log.add("three")

    assert log.all() == ["two", "three"]


def test_a_log_that_was_cut_and_has_grown_beyond_is_noticed(log: Followed) -> None:
    log.add("one")
    assert log.all() == ["one"]
    shutil.copy(log.path, log.path.with_name("log.1"))
    log.path.write_text("")
    log.add("a", "b", "c", "d", "e")

    assert log.all() == ["a", "b", "c", "d", "e"]


def test_a_log_that_is_not_there_yet_is_told_from_its_begin(tmp_path: Path) -> None:
    log = Followed(tmp_path / "later" / "log")
    assert log.all() == []
    log.path.parent.mkdir()
    log.add("one")

    assert log.all() == ["one"]
    assert log.told == []


def test_a_log_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    log = Followed(tmp_path / "log")
    log.path.symlink_to("log")

    assert log.all() == []
    assert set(log.told) == {f"{log.path} cannot be read: Too many levels of symbolic links"}
