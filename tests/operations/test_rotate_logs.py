"""What rotation does to the files of logs: names, numbers, crashes, and whom it leaves alone."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from crashing import killed_at
from deployments import ZEO_AND_ZOPE, ZEO_ONLY, Deployment, wait_until

from zmount.effects.lock import locked
from zmount.effects.log_writers import writers
from zmount.errors import Locked, UnknownName
from zmount.operations import log_reopening
from zmount.operations.rotate_logs import LOCK, rotate_logs
from zmount.operations.rotated_logs import LogRotation, LogRotations
from zmount.operations.rotation_plan import RotationWish
from zmount.operations.start import start

Deploy = Callable[[str], Deployment]
LOGROTATE = shutil.which("logrotate", path="/usr/sbin:/usr/bin:/sbin:/bin")


def rotated(deployment: Deployment, *names: str, **wish: int) -> LogRotations:
    return rotate_logs(deployment.topology, deployment.host, names, wish=RotationWish(**wish))  # type: ignore[arg-type]


def of(result: LogRotations, name: str) -> LogRotation:
    return next(each for each in result.logs if each.name == name)


def log_of(deployment: Deployment, name: str) -> Path:
    path = deployment.process(name).log.path
    assert path is not None
    Path(path.parent).mkdir(parents=True, exist_ok=True)
    return Path(path)


def text_of(path: Path) -> str:
    raw = path.read_bytes()
    return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8", "replace")


def contents(log: Path) -> dict[str, str]:
    """Return the text of LOG and of its old files by what comes after its name."""
    return {
        each.name.removeprefix(log.name): text_of(each) for each in log.parent.glob(log.name + "*")
    }


def started(deployment: Deployment) -> None:
    changes = start(deployment.topology, deployment.host, (), lambda _: None)
    assert [change.error for change in changes if change.error] == []


def test_old_files_move_on_are_compressed_and_dropped_as_logrotate_does_it(deploy: Deploy) -> None:
    deployment = deploy(ZEO_ONLY)
    log = log_of(deployment, "zeo")
    for number in range(5):
        log.write_text(f"{number}\n")
        log.chmod(0o640)
        result = rotated(deployment, keep=3)
        assert result.error is None

    assert contents(log) == {".1": "4\n", ".2.gz": "3\n", ".3.gz": "2\n"}
    assert of(result, "zeo").dropped == ("zeo.log.3.gz",)
    assert log.with_name("zeo.log.2.gz").stat().st_mode & 0o777 == 0o640


def test_without_a_wish_the_topology_says_how_many_are_kept(deploy: Deploy) -> None:
    deployment = deploy(ZEO_ONLY.replace("<zeo zeo>", "<zeo zeo>\n<log>\nold-files 2\n</log>"))
    log = log_of(deployment, "zeo")
    for number in range(4):
        log.write_text(f"{number}\n")
        rotated(deployment)

    assert contents(log) == {".1": "3\n", ".2.gz": "2\n"}


def test_logrotate_and_zmount_take_turns(deploy: Deploy) -> None:
    assert LOGROTATE, "logrotate is needed for this test: apt install logrotate"
    deployment = deploy(ZEO_ONLY)
    log = log_of(deployment, "zeo")
    conf = Path(deployment.host.etc / "logrotate.conf")
    conf.chmod(0o644)
    state = deployment.directory / "logrotate.state"
    for number in range(6):
        log.write_text(f"{number}\n")
        if number % 2:
            rotated(deployment)
        else:
            subprocess.run([LOGROTATE, "--force", "--state", str(state), str(conf)], check=True)

    names = {".1": 5, ".2.gz": 4, ".3.gz": 3, ".4.gz": 2, ".5.gz": 1}
    assert contents(log) == {suffix: f"{number}\n" for suffix, number in names.items()}


def test_small_and_empty_logs_and_those_of_other_names_are_left_alone(deploy: Deploy) -> None:
    deployment = deploy(ZEO_ONLY)
    log = log_of(deployment, "zeo")
    log.write_text("a line\n")
    (log.with_name("zeo.log.2.bak")).write_text("mine")

    assert of(rotated(deployment, smallest_bytes=1000), "zeo").why == "it is smaller than that"
    log.write_text("")
    assert of(rotated(deployment), "zeo").why == "it is empty"
    assert sorted(contents(log)) == ["", ".2.bak"]
    with pytest.raises(UnknownName):
        rotated(deployment, "nobody")


def test_logs_that_rotate_themselves_and_devices_are_left_alone(deploy: Deploy) -> None:
    own = ZEO_AND_ZOPE + "<log>\nmax-size 5MB\n</log>\n<access-log>\npath none\n</access-log>\n"
    deployment = deploy(own)
    log = log_of(deployment, "zeo")
    log.write_text("a line\n")
    Path(log.with_name("zdaemon.log")).symlink_to("/dev/null")

    result = rotated(deployment)

    assert of(result, "zeo").why == "its writer rotates it"
    assert of(result, "zeo zdaemon").why == "it is no regular file"
    assert "pub access" not in {each.name for each in result.logs}
    assert sorted(contents(log)) == [""]
    assert result.error is None


def test_a_dry_run_changes_nothing(deploy: Deploy) -> None:
    deployment = deploy(ZEO_ONLY)
    log = log_of(deployment, "zeo")
    log.write_text("a line\n")

    done = deployment.zmount("rotate-logs", "--dry-run", "--json")

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["logs"][0]["done"] == "rotated"
    assert contents(log) == {"": "a line\n"}
    assert not Path(deployment.directory / "zmount.history").exists()


def test_two_do_not_rotate_at_once(deploy: Deploy) -> None:
    deployment = deploy(ZEO_ONLY)

    with locked(deployment.host.directory, name=LOCK), pytest.raises(Locked):
        rotated(deployment)


def test_killed_anywhere_it_loses_nothing_and_the_next_run_finishes(deploy: Deploy) -> None:
    deployment = deploy(ZEO_ONLY)
    log = log_of(deployment, "zeo")
    topology, host, wish = deployment.topology, deployment.host, RotationWish(keep=5)
    rotate_logs(topology, host, wish=wish)  # what is imported is so before a crash is tried
    for number in range(200):
        for each in log.parent.iterdir():
            each.unlink()
        log.write_text("new\n")
        log.with_name("zeo.log.1").write_text("one\n")
        log.with_name("zeo.log.2").write_text("two\n")
        log.with_name("zeo.log.3.gz").write_bytes(gzip.compress(b"three\n"))
        was_killed = killed_at(number, lambda: rotate_logs(topology, host, wish=wish))
        whole = Counter(text for name, text in contents(log).items() if not name.endswith(".new"))
        assert set(whole) == {"new\n", "one\n", "two\n", "three\n"}, number

        rotate_logs(topology, host, wish=wish)
        log.write_text("newer\n")
        rotate_logs(topology, host, wish=wish)

        texts = ["newer\n", "new\n", "one\n", "two\n", "three\n"]
        suffixes = [".1", ".2.gz", ".3.gz", ".4.gz", ".5.gz"]
        assert contents(log) == dict(zip(suffixes, texts, strict=True)), number
        if not was_killed:
            break
    assert number > 20


@pytest.fixture
def held() -> Iterator[Callable[[Path], int]]:
    """A function that lets a process of no server hold a file open for writing."""
    made: list[subprocess.Popen[bytes]] = []

    def hold(path: Path) -> int:
        with path.open("a") as file:
            made.append(subprocess.Popen(["sleep", "60"], stdout=file))
        return made[-1].pid

    yield hold
    for each in made:
        each.kill()
        each.wait()


def test_who_is_no_server_of_ours_gets_no_signal_and_keeps_his_file(
    deploy: Deploy, held: Callable[[Path], int]
) -> None:
    deployment = deploy(ZEO_ONLY)
    log = log_of(deployment, "zeo")
    log.write_text("a line\n")
    pid = held(log)

    done = deployment.zmount("rotate-logs")

    assert done.returncode == 29
    assert f"pid {pid} (sleep 60) writes it, and would not open a new file" in done.stderr
    assert contents(log) == {"": "a line\n"}
    os.kill(pid, 0)


def test_what_is_still_written_is_compressed_only_when_it_is_not_any_more(
    deploy: Deploy, held: Callable[[Path], int]
) -> None:
    deployment = deploy(ZEO_ONLY)
    log = log_of(deployment, "zeo")
    log.with_name("zeo.log.1").write_text("written on\n")
    pid = held(log.with_name("zeo.log.1"))
    log.write_text("a line\n")

    first = of(rotated(deployment), "zeo")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not list(Path(f"/proc/{pid}/fd").iterdir()), "it holds nothing")
    second = of(rotated(deployment), "zeo")

    assert (first.compressed, first.waiting) == ((), ("zeo.log.2",))
    assert (second.done, second.compressed) == ("left", ("zeo.log.2.gz",))


def test_a_server_that_does_not_listen_is_told_again_by_the_next_run(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_reopening, "REOPENS_S", 0.5)
    deployment = deploy(ZEO_ONLY)
    started(deployment)
    log = log_of(deployment, "zeo")
    pid = int(Path(deployment.process("zeo").directory / "var/zeo.pid").read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        first = rotated(deployment)
        again = rotated(deployment)
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until(log.exists, "it has opened a new file")

    assert of(first, "zeo").done == "failed"
    assert "was told to open a new file, and has not yet" in of(first, "zeo").why
    assert of(again, "zeo").done == "failed"  # it is not renamed a second time
    assert sorted(contents(log)) == ["", ".1"]


def test_a_server_that_was_not_told_because_of_a_crash_is_told_by_the_next_run(
    deploy: Deploy,
) -> None:
    deployment = deploy(ZEO_ONLY)
    started(deployment)
    log = log_of(deployment, "zeo")
    log.rename(log.with_name("zeo.log.1"))

    result = rotated(deployment)

    assert of(result, "zeo").done == "reopened"
    assert "Log files reopened successfully" in log.read_text()


def test_zdaemon_opens_its_files_anew_and_lives(deploy: Deploy) -> None:
    deployment = deploy(ZEO_ONLY)
    started(deployment)
    noted = Path(deployment.process("zeo").zdaemon_log)
    status = noted.stat()
    before = (status.st_dev, status.st_ino)
    (owner,) = writers([before]).of(before)

    result = rotated(deployment)

    assert of(result, "zeo zdaemon").done == "rotated"
    assert not writers([before]).found
    links = [each.readlink() for each in Path(f"/proc/{owner.pid}/fd").iterdir()]
    assert noted in links  # the new one
    assert deployment.zmount("status").returncode == 0


def test_an_idle_zope_gets_no_signal_and_its_next_line_goes_to_a_new_file(deploy: Deploy) -> None:
    deployment = deploy(ZEO_AND_ZOPE)
    started(deployment)
    log = log_of(deployment, "pub")
    access = log.with_name("access.log")

    first = rotated(deployment, "pub")
    again = rotated(deployment, "pub")
    assert deployment.zmount("status").returncode == 0  # which asks it over HTTP

    assert of(first, "pub").done == of(first, "pub access").done == "rotated"
    assert (of(again, "pub").done, of(again, "pub").why) == ("left", "it is not there")
    wait_until(lambda: access.exists() and access.read_text(), "there is a new file")
    assert not log.exists()
