"""Each operation leaves an entry in the history; what is wrong with that stops none."""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deployments import Deployment, wait_until
from fillings import fill

from zmount.effects import history_file as file_module
from zmount.effects.history import Entry, entries, history_file
from zmount.errors import (
    AccessCopyRefused,
    ApplyRefused,
    PackFailed,
    ProofRefused,
    UnknownName,
    ZMountError,
)
from zmount.operations import recorded as recorded_module
from zmount.operations.index import index
from zmount.operations.recorded import last_ended, recorded, refusals_recorded

Deploy = Callable[[str], Deployment]
NOBODY = 65534


@pytest.fixture(autouse=True)
def _no_history_was_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded_module, "_given_up", {})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "zmount.conf"


def only(file: Path) -> Entry:
    (entry,) = entries(history_file(file))
    return entry


def test_what_was_done_is_told_with_all_that_was_said(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ZMOUNT_JOB", "nightly")
    monkeypatch.setenv("SUDO_USER", "anna")
    before = time.time()
    asked = {"days": 0.0, "mode": "", "undo": False, "none": None}
    with recorded(file, "h", "pack", subjects=["a", "a"], arguments=asked) as record:
        assert only(file).result == "running"
        record.subjects(["b"])
        record.plan(["one\ntwo", 3])
        record.numbers(freed=7, way=None)

    entry = only(file)
    assert (entry.operation, entry.host, entry.job) == ("pack", "h", "nightly")
    assert entry.subjects == ("a", "b")
    assert entry.arguments == {"days": 0.0}
    assert entry.plan == ("one", "two", "3")
    assert entry.numbers == {"freed": 7}
    assert (entry.result, entry.exit_status, entry.sentence) == ("done", 0, "")
    assert entry.who.startswith("anna as ")
    assert entry.uid == os.geteuid()
    assert before <= entry.began <= time.time()
    assert entry.duration_s is not None and entry.duration_s < 5


@pytest.mark.parametrize(
    ("error", "result", "exit_status"),
    [
        (PackFailed("no", hint="do it"), "failed", 17),
        (ApplyRefused("no", hint="do it"), "refused", 5),
        (AccessCopyRefused("no", hint="do it"), "refused", 25),
        (ProofRefused("no", hint="do it"), "refused", 23),
        (KeyboardInterrupt(), "interrupted", 130),
        (SystemExit(3), "interrupted", 130),
        (ValueError("no"), "failed", 1),
    ],
)
def test_what_is_raised_is_what_it_came_to(
    file: Path, error: BaseException, result: str, exit_status: int
):
    with pytest.raises(type(error)), recorded(file, "h", "pack"):
        raise error

    entry = only(file)
    assert (entry.result, entry.exit_status) == (result, exit_status)
    if isinstance(error, ZMountError):
        assert (entry.sentence, entry.hint) == ("no", "do it")
    if isinstance(error, ValueError):
        assert entry.sentence == "ValueError: no"


def test_what_was_never_begun_leaves_nothing(file: Path):
    with recorded(file, "h", "pack", dry_run=True) as record:
        record.plan(["something"])
    with pytest.raises(UnknownName), recorded(file, "h", "pack"):
        raise UnknownName("who?")

    assert entries(history_file(file)) == ()


def test_a_failure_that_is_told_and_not_raised_counts(file: Path):
    def refuse() -> None:
        raise PackFailed("one of two")

    with recorded(file, "h", "pack") as record:
        record.judged_by(refuse)

    assert (only(file).result, only(file).sentence) == ("failed", "one of two")


def test_parts_that_record_on_their_own_are_recorded_once(file: Path):
    with refusals_recorded(file, "h", "pack", ["a"]), recorded(file, "h", "pack", subjects=["a"]):
        pass
    assert only(file).result == "done"

    with pytest.raises(ApplyRefused), refusals_recorded(file, "h", "pack", ["a", "b"]):
        raise ApplyRefused("locked")
    assert entries(history_file(file))[-1].subjects == ("a", "b")


def test_the_last_that_ended_is_not_the_one_at_work(file: Path):
    assert last_ended(file, "pack", "a") is None
    with recorded(file, "h", "pack", subjects=["a"]):
        assert last_ended(file, "pack", "a") is None
    with recorded(file, "h", "pack", subjects=["a"]):
        found = last_ended(file, "pack", "a")
        assert found is not None and found.result == "done"


SLEEPER = """
import sys, time
from zmount.operations.recorded import recorded
with recorded(sys.argv[1], "h", "pack", subjects=["a"]):
    print("at work", flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize(
    ("number", "result"),
    [
        (signal.SIGTERM, "interrupted"),
        (signal.SIGINT, "interrupted"),
        (signal.SIGKILL, "did not end"),
    ],
)
def test_one_that_is_ended_is_known_not_to_be_done(file: Path, number: signal.Signals, result: str):
    command = [sys.executable, "-c", SLEEPER, str(file)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert only(file).result == "running"
        process.send_signal(number)
        process.wait()

    assert only(file).result == result


def test_threads_record_at_the_same_time(file: Path):
    def work(name: str) -> None:
        for _ in range(5):
            with recorded(file, "h", "pack", subjects=[name]) as record:
                record.numbers(freed=1)

    threads = [threading.Thread(target=work, args=[str(each)]) for each in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    found = entries(history_file(file))
    assert len(found) == 40
    assert {each.result for each in found} == {"done"}


@pytest.fixture
def deployment(deploy: Deploy) -> Deployment:
    """A storage without a server, whose index can be built: a real operation, and quick."""
    deployment = deploy("<zeo zeo>\n  address var/zeo.sock\n</zeo>\n<storage a/>\n")
    fill(Path(str(deployment.topology.storage("a").data_fs)))
    return deployment


def indexed(deployment: Deployment) -> str:
    """Build the index as a library does; return how that ended."""
    (found,) = index(deployment.topology, deployment.host, ["a"], lambda *_: None)
    assert found.error is None
    assert found.index is not None
    return found.index.done


DAMAGES = {
    "no database": b"once upon a time " * 1000,
    "a truncated one": b"SQLite format 3\0" + bytes(300),
    "an empty file": b"",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_history_stops_no_operation_and_is_begun_anew(
    deployment: Deployment, damage: str, caplog: pytest.LogCaptureFixture
):
    path = history_file(deployment.conf)
    path.write_bytes(DAMAGES[damage])

    assert indexed(deployment) == "built"

    assert only(deployment.conf).operation == "index"
    aside = list(path.parent.glob("zmount.history.damaged-*"))
    assert [each.read_bytes() for each in aside] == [DAMAGES[damage]] * bool(DAMAGES[damage])
    assert len(caplog.messages) == len(aside)


@pytest.fixture
def _a_directory(deployment: Deployment) -> None:
    history_file(deployment.conf).mkdir()


@pytest.fixture
def _anothers(deployment: Deployment) -> None:
    with sqlite3.connect(history_file(deployment.conf)) as connection:
        connection.execute("CREATE TABLE theirs (it)")


@pytest.fixture
def _locked_for_ever(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(file_module, "BUSY_S", 0.2)
    indexed(deployment)
    holder = sqlite3.connect(history_file(deployment.conf), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    yield
    holder.close()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("_a_directory", "it is a directory"),
        ("_anothers", "another program's database"),
        ("_locked_for_ever", "another process has locked it"),
    ],
)
def test_a_history_that_cannot_be_written_is_one_line_and_the_operation_goes_on(
    deployment: Deployment,
    wrong: str,
    said: str,
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
):
    request.getfixturevalue(wrong)

    indexed(deployment)
    indexed(deployment)

    (line,) = [each.getMessage() for each in caplog.records if each.name == "zmount.history"]
    assert said in line
    assert "\n" not in line


def test_the_line_is_on_stderr_and_the_result_alone_on_stdout(deployment: Deployment):
    history_file(deployment.conf).mkdir()

    done = deployment.zmount("index", "a", "--json")

    assert done.returncode == 0
    assert done.stdout.startswith("[")
    lines = [line for line in done.stderr.splitlines() if "warning" in line]
    assert len(lines) == 1
    assert lines[0].startswith("zmount: warning: the history ")


def test_a_lock_that_never_ends_is_waited_for_once(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(file_module, "BUSY_S", 0.5)
    indexed(deployment)
    holder = sqlite3.connect(history_file(deployment.conf), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    began = time.monotonic()
    for _ in range(10):
        with recorded(deployment.conf, "h", "pack"):
            pass
    assert time.monotonic() - began < 3
    holder.close()


def test_an_end_is_told_although_its_beginning_could_not_be(
    file: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(recorded_module, "PAUSE_S", 0)
    history_file(file).mkdir()
    with recorded(file, "h", "pack", subjects=["a"]):
        history_file(file).rmdir()

    assert (only(file).subjects, only(file).result) == (("a",), "done")


AS_NOBODY = """
import os, sys
from zmount.operations.recorded import recorded
os.setgid({gid}); os.setuid({uid})
with recorded(sys.argv[1], "h", "pack", subjects=["a"]):
    pass
print("done")
"""


def by_another_user(file: Path, uid: int, gid: int) -> subprocess.CompletedProcess[str]:
    code = AS_NOBODY.format(uid=uid, gid=gid)
    return subprocess.run(
        [sys.executable, "-c", code, str(file)], capture_output=True, text=True, timeout=30
    )


@pytest.mark.parametrize("what", ["directory", "file", "hidden directory"])
def test_who_may_not_write_it_goes_on_and_is_told_so(
    short_directory: Path, what: str, caplog: pytest.LogCaptureFixture
):
    short_directory.chmod(0o755)
    file = short_directory / "zmount.conf"
    if what == "file":
        with recorded(file, "h", "verify"):
            pass
    if what == "hidden directory":
        short_directory.chmod(0o700)

    done = by_another_user(file, NOBODY, NOBODY)

    assert done.stdout == "done\n"
    (line,) = done.stderr.splitlines()
    assert "cannot be written" in line


def test_root_and_the_administrator_of_a_site_write_the_same_history(short_directory: Path):
    short_directory.chmod(0o755)
    file = short_directory / "zmount.conf"
    os.chown(short_directory, NOBODY, NOBODY)
    with recorded(file, "h", "verify"):
        pass
    done = by_another_user(file, NOBODY, NOBODY)
    assert (done.stdout, done.stderr) == ("done\n", "")
    with recorded(file, "h", "verify"):
        pass

    assert [each.uid for each in entries(history_file(file))] == [0, NOBODY, 0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that is full."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("is_begun", [False, True])
def test_a_full_disk_is_one_line_and_when_there_is_room_all_goes_on(
    small_disk: Path,
    is_begun: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(recorded_module, "PAUSE_S", 0)
    file = small_disk / "zmount.conf"
    if is_begun:
        with recorded(file, "h", "verify"):
            pass
    with (small_disk / "rest").open("wb", buffering=0) as rest:
        try:
            while True:
                rest.write(bytes(1024))
        except OSError:
            pass
    caplog.set_level(logging.WARNING)
    did = False
    with recorded(file, "h", "pack"):
        did = True
    assert did
    (line,) = caplog.messages
    assert "cannot be written" in line

    (small_disk / "rest").unlink()
    with recorded(file, "h", "start"):
        pass
    assert [each.operation for each in entries(history_file(file))][-1] == "start"


def test_a_process_that_is_killed_while_it_records_harms_nobody(file: Path):
    code = (
        SLEEPER.replace("    time.sleep(60)\n", "")
        .replace("with recorded", "while True:\n  with recorded")
        .replace("    print", "      print")
    )
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.05)
        process.kill()
        process.communicate()
    with recorded(file, "h", "start"):
        pass

    found = entries(history_file(file))
    assert found[-1].result == "done"
    wait_until(lambda: "running" not in {each.result for each in found}, "all have ended")
    with sqlite3.connect(history_file(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
