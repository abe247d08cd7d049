"""``zmount pack`` as an administrator or cron calls it, and as it is interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deployments import Deployment, commands, wait_until
from fillings import fill, slow_packer

from zmount.effects.history import Search, entries, history_file

TWO = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage a/>
<storage b/>
"""
SLOW = """
<zeo zeo>
  address var/zeo.sock
  <environment>
    PYTHONPATH {directory}
  </environment>
</zeo>
<storage a>
  packer slow:pack
</storage>
<storage b>
  packer slow:pack
</storage>
"""
CRON = Path(__file__).parents[2] / "scripts" / "zmount-pack"
Deploy = Callable[[str], Deployment]


def data_fs(deployment: Deployment, name: str) -> Path:
    return deployment.directory / "var" / name / "Data.fs"


def fill_both(deployment: Deployment) -> None:
    for name in "ab":
        fill(data_fs(deployment, name))


def damage(path: Path) -> None:
    """Spoil the length of the first transaction in PATH."""
    content = bytearray(path.read_bytes())
    content[12:20] = b"\xff" * 8
    path.write_bytes(content)


def test_the_table_has_a_row_for_each_storage_and_says_what_was_freed(deploy: Deploy):
    deployment = deploy(TWO)
    fill(data_fs(deployment, "a"))

    done = deployment.zmount("pack", "--all", "--days", "0")

    assert done.returncode == 0
    headings, first, second, *notes = done.stdout.splitlines()
    assert headings.split()[:7] == "storage before after freed objects revisions time".split()
    assert first.startswith("a        packed")
    assert " 101 " in first and first.endswith("file")
    assert second.startswith("b        skipped")
    assert notes == ["a: blobs removed: 1", "b: it has no Data.fs yet"]
    assert "a: packed, " in done.stderr


def test_json_holds_what_the_table_shows(deploy: Deploy):
    deployment = deploy(TWO)
    fill(data_fs(deployment, "a"))

    said = json.loads(deployment.zmount("pack", "a", "--days", "0", "--json").stdout)

    (row,) = said["storages"]
    assert (said["host"], said["dry_run"]) == ("localhost", False)
    assert (row["storage"], row["result"], row["way"]) == ("a", "packed", "file")
    assert row["freed"] == row["size_before"] - row["size_after"] > 0
    assert (row["objects_dropped"], row["blobs_removed"], row["error"]) == (101, 1, None)


def test_one_failure_exits_17_after_the_table_with_the_reason_last(deploy: Deploy):
    deployment = deploy(TWO)
    fill_both(deployment)
    damage(data_fs(deployment, "a"))

    done = deployment.zmount("pack", "--all", "--days", "0")

    assert done.returncode == 17
    assert [line.split()[1] for line in done.stdout.splitlines()[1:3]] == ["failed", "packed"]
    assert "a failed: " in done.stderr and "damaged at byte" in done.stderr
    assert "zmount: 1 of 2 was not packed: a\n" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [(), ("a", "--all"), ("a", "--days", "-1")])
def test_what_to_pack_must_be_said_and_said_once(deploy: Deploy, arguments: tuple[str, ...]):
    assert deploy(TWO).zmount("pack", *arguments).returncode == 2


@pytest.fixture
def packing() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """A function that starts ``zmount pack`` and returns when its packer is at work."""
    started: list[subprocess.Popen[str]] = []

    def packing(deployment: Deployment, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "zmount", "-f", str(deployment.conf), "pack", *arguments]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        started.append(process)
        works = data_fs(deployment, "a").with_name("Data.fs.pack")
        wait_until(lambda: works.exists() or process.poll() is not None, "it packs", timeout_s=20)
        return process

    yield packing
    for process in started:
        process.kill()
        process.communicate()


def packers(deployment: Deployment) -> list[int]:
    """Return the processes that pack a file of DEPLOYMENT."""
    found = []
    for pid, command in commands():
        if "-c" in command and "storageFromString" in " ".join(command):
            opened = [link.readlink() for link in Path(f"/proc/{pid}/fd").iterdir()]
            if any(path.is_relative_to(deployment.directory) for path in opened):
                found.append(pid)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing_behind_and_begins_nothing_more(
    deploy: Deploy, packing: Callable[..., subprocess.Popen[str]], number: signal.Signals
):
    deployment = deploy(SLOW)
    slow_packer(deployment.directory)
    fill_both(deployment)
    content = data_fs(deployment, "a").read_bytes()

    process = packing(deployment, "--all")
    process.send_signal(number)
    _, said = process.communicate(timeout=20)

    assert process.returncode == 130
    assert "interrupted" in said
    assert "Traceback" not in said
    assert packers(deployment) == []
    assert data_fs(deployment, "a").read_bytes() == content
    assert not data_fs(deployment, "a").with_name("Data.fs.pack").exists()
    (entry,) = entries(history_file(deployment.conf))
    assert (entry.subjects, entry.result, entry.exit_status) == (("a",), "interrupted", 130)
    (deployment.directory / "go").touch()
    assert deployment.zmount("pack", "--all").returncode == 0


def test_killed_it_takes_its_packer_with_it(
    deploy: Deploy, packing: Callable[..., subprocess.Popen[str]]
):
    deployment = deploy(SLOW)
    slow_packer(deployment.directory)
    fill_both(deployment)

    process = packing(deployment, "a")
    assert len(packers(deployment)) == 1
    assert '"running"' in deployment.zmount("history", "a", "--json").stdout
    process.kill()

    wait_until(lambda: packers(deployment) == [], "its packer is gone")
    process.wait()
    assert "did not end" in deployment.zmount("history", "--failed", "--operation", "pack").stdout
    assert not data_fs(deployment, "a").with_name("Data.fs.pack").exists()


def test_interrupted_it_leaves_a_server_packing_and_says_so(
    deploy: Deploy, packing: Callable[..., subprocess.Popen[str]]
):
    deployment = deploy(SLOW)
    slow_packer(deployment.directory)
    fill_both(deployment)
    assert deployment.zmount("start", "zeo").returncode == 0

    process = packing(deployment, "a")
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)

    assert process.returncode == 130
    assert "a failed: the connection to the ZEO server ended while it packed" in said
    works = data_fs(deployment, "a").with_name("Data.fs.pack")
    assert works.exists()
    (deployment.directory / "go").touch()
    wait_until(lambda: not works.exists(), "the server has packed")
    (entry,) = entries(history_file(deployment.conf), Search(operation="pack"))
    assert (entry.result, entry.exit_status) == ("interrupted", 130)
    assert "a server that runs on goes on packing" in entry.hint


def test_a_server_that_dies_while_it_packs_is_a_failure_and_no_riddle(
    deploy: Deploy, packing: Callable[..., subprocess.Popen[str]]
):
    deployment = deploy(SLOW)
    slow_packer(deployment.directory)
    fill_both(deployment)
    assert deployment.zmount("start", "zeo").returncode == 0

    process = packing(deployment, "a")
    pid = int((deployment.directory / "zeo/var/zeo.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    _, said = process.communicate(timeout=30)

    assert process.returncode == 17
    assert "the connection to the ZEO server ended while it packed" in said


def cron(deployment: Deployment, *arguments: str) -> subprocess.Popen[str]:
    """Start scripts/zmount-pack as cron would."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "ZMOUNT": str(Path(sys.prefix, "bin", "zmount")),
        "ZMOUNT_CONF": str(deployment.conf),
    }
    return subprocess.Popen(
        [str(CRON), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_crons_script_packs_everything_and_is_silent(deploy: Deploy):
    deployment = deploy(TWO)
    fill_both(deployment)
    before = data_fs(deployment, "b").stat().st_size

    process = cron(deployment, "--all", "--days", "0")
    said, _ = process.communicate(timeout=60)

    assert (process.returncode, said) == (0, "")
    assert data_fs(deployment, "b").stat().st_size < before


@pytest.mark.parametrize("is_served", [True, False])
def test_what_is_packed_but_keeps_its_blobs_is_packed_and_exits_17(deploy: Deploy, is_served: bool):
    deployment = deploy(TWO)
    deployment.zmount("apply")
    fill_both(deployment)
    blobs = deployment.directory / "var" / "a" / "blobs"
    (blobs / ".removed").mkdir()  # where a pack would write its list
    if is_served:
        assert deployment.zmount("start").returncode == 0

    done = deployment.zmount("pack", "--all", "--days", "0")

    assert done.returncode == 17, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()[1:3]] == ["packed", "packed"]
    assert "a: packed, " in done.stderr and "it is packed, but not all was done: " in done.stderr
    assert "zmount: 1 of 2 was packed, but not all was done: a\n" in done.stderr
    assert "failed" not in done.stderr and "Traceback" not in done.stderr
    (blobs / ".removed").rmdir()
    again = deployment.zmount("pack", "a", "--days", "0")
    assert again.returncode == 0, again.stderr


def test_crons_script_says_everything_when_something_failed(deploy: Deploy):
    deployment = deploy(TWO)
    fill_both(deployment)
    damage(data_fs(deployment, "a"))

    process = cron(deployment)
    said, _ = process.communicate(timeout=60)

    assert process.returncode == 17
    assert "a failed: " in said
    assert "zmount: 1 of 2 was not packed: a\n" in said


def test_crons_script_does_not_overlap_with_itself_and_ends_with_a_signal(deploy: Deploy):
    deployment = deploy(SLOW)
    slow_packer(deployment.directory)
    fill_both(deployment)
    works = data_fs(deployment, "a").with_name("Data.fs.pack")

    first = cron(deployment)
    try:
        wait_until(works.exists, "it packs", timeout_s=20)
        second = cron(deployment)
        said, _ = second.communicate(timeout=20)
    finally:
        first.terminate()
        first_said, _ = first.communicate(timeout=30)

    assert second.returncode == 7
    assert "another zmount is at work here" in said
    assert first.returncode == 130
    assert "interrupted" in first_said
    assert not works.exists()
