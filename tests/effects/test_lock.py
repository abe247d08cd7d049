"""One zmount at a time, however the other one ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest

from zmount.effects.lock import locked
from zmount.errors import ApplyFailed, ApplyRefused, Locked
from zmount.plan.manifest import STATE

HOLD = """
import sys, time
from pathlib import PurePosixPath
from zmount.effects.lock import locked
with locked(PurePosixPath(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def held_by_another(directory: Path) -> Iterator[subprocess.Popen[str]]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(directory)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
    finally:
        holder.kill()
        holder.wait()
        assert holder.stdout is not None
        holder.stdout.close()


def test_the_message_names_the_process_that_holds_the_lock(tmp_path: Path) -> None:
    with (
        held_by_another(tmp_path) as holder,
        pytest.raises(Locked, match=f"pid {holder.pid}"),
        locked(PurePosixPath(tmp_path)),
    ):
        pass


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    with held_by_another(tmp_path) as holder:
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait()
        assert (tmp_path / STATE / "lock").read_text() == f"{holder.pid}\n"
        with locked(PurePosixPath(tmp_path)):
            assert (tmp_path / STATE / "lock").read_text() == f"{os.getpid()}\n"


def test_it_can_be_taken_again_after_it_was_given_back(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(PurePosixPath(tmp_path)) as place:
            assert place == tmp_path / STATE
            assert place.stat().st_mode & 0o777 == 0o700


def test_a_missing_directory_is_made_and_goes_again_if_nothing_came_of_it(tmp_path: Path) -> None:
    directory = tmp_path / "opt" / "vsa"
    with pytest.raises(ApplyFailed, match="disk"), locked(PurePosixPath(directory)) as place:
        assert place.is_dir()
        raise ApplyFailed("disk")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_was_there_before_stays(tmp_path: Path) -> None:
    with pytest.raises(ApplyFailed), locked(PurePosixPath(tmp_path)):
        raise ApplyFailed("disk")
    assert tmp_path.is_dir()


def test_a_file_in_the_place_of_the_directory_is_said(tmp_path: Path) -> None:
    (tmp_path / "vsa").write_text("")
    with (
        pytest.raises(
            ApplyFailed, match=r"vsa(/var cannot be made: Not a directory|: a directory is needed)"
        ),
        locked(PurePosixPath(tmp_path / "vsa")),
    ):
        pass


def test_a_journal_that_another_user_could_have_written_is_not_trusted(tmp_path: Path) -> None:
    place = tmp_path / STATE
    place.parent.mkdir()
    (tmp_path / "elsewhere").mkdir()
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ApplyRefused, match="cannot be trusted"), locked(PurePosixPath(tmp_path)):
        pass


def test_a_lock_that_no_user_could_open_names_no_other_user(tmp_path: Path) -> None:
    with locked(PurePosixPath(tmp_path)) as state:
        pass
    (state / "lock").unlink()
    (state / "lock").mkdir()

    with (
        pytest.raises(ApplyFailed, match="the lock cannot be opened: Is a directory") as raised,
        locked(PurePosixPath(tmp_path)),
    ):
        pass

    assert raised.value.hint == ""
