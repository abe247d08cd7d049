"""What ``zmount health`` says of storages' files and volumes; each check made to fire."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from broken_mounts import running
from checkups import client, commit, data_fs, deployed, fill, look, read, reading, value
from deployments import Deployment
from swapping import PRODUCTION, STAGING, Swaps
from ZODB import DB
from ZODB.FileStorage import FileStorage

from zmount.effects.file_lock import writer
from zmount.effects.stage_files import generations_of
from zmount.operations.health_files import file_readings
from zmount.operations.health_scene import Scene
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.lost_files import Opener

CONF = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage content/>
<storage other/>
<storage deleted/>
<storage replaced/>
<storage moved/>
<storage taken/>
<storage unlocked/>
<storage packed/>
<storage linked/>
<storage behind/>
<health>
  index 1KB 100KB
</health>
"""
HOLD = """
import sys, time
from ZODB.FileStorage import FileStorage
storage = FileStorage(sys.argv[1])
print("open", flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module")
def served() -> Iterator[Deployment]:
    """A deployment whose one ZEO server runs; each test has a storage of its own."""
    with deployed(CONF) as deployment:
        for storage in deployment.topology.storages:
            fill(deployment, storage.name, number=1)
        _link(data_fs(deployment, "linked"))
        with running(deployment, "zeo"):
            yield deployment


@pytest.fixture
def down() -> Iterator[Deployment]:
    """A deployment whose server does not run; its storages hold something."""
    with deployed("<zeo zeo>\n  address var/zeo.sock\n</zeo>\n<storage content/>\n") as deployment:
        fill(deployment, "content", number=1)
        yield deployment


@contextmanager
def _held(path: Path) -> Iterator[int]:
    """Another process has the FileStorage PATH open; yields its pid."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True
    ) as other:
        try:
            assert other.stdout is not None and other.stdout.readline() == "open\n"
            yield other.pid
        finally:
            other.kill()


def _link(path: Path) -> None:
    """Let PATH be a symbolic link to the file, as where it had to go to a larger volume."""
    elsewhere = path.parent.parent / "elsewhere.fs"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def _replace_by_copy(path: Path) -> None:
    """As a restore from a backup does it."""
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def test_the_file_that_its_server_writes_to_is_ok_by_whatever_name(served: Deployment) -> None:
    found = look(served, only=("data-file", "lock-holder"))

    for name in ("content", "linked"):
        assert reading(found, "data-file", name).state == "ok"
        assert reading(found, "lock-holder", name).sentence == "zeo holds its lock"
    size = value(reading(found, "data-file", "content"), "data_fs_bytes")
    assert size == data_fs(served, "content").stat().st_size


@pytest.mark.parametrize("name", ["replaced", "linked"])
def test_a_data_fs_replaced_under_its_server_is_critical_and_what_to_do_saves_the_commits(
    served: Deployment, name: str, tmp_path: Path
) -> None:
    """A size compared with the server's would not show it: the copy has the same."""
    path = data_fs(served, name)
    _replace_by_copy(path.resolve())
    sized = read(served, "storage", name)

    found = read(served, "data-file", name)
    commit(served, name, number=2)

    assert sized.state == "ok"
    assert found.state == "critical"
    assert "was replaced by another file while zeo has it open" in found.sentence
    source, target = found.hint.partition(": cp ")[2].split()
    assert target == f"{path}.saved"
    shutil.copy(source, tmp_path / "saved.fs")
    assert _number(tmp_path / "saved.fs") == 2
    assert _number(path, tmp_path) == 1


def _number(path: Path, directory: Path | None = None) -> object:
    """Return what the root of PATH holds, or of a copy in DIRECTORY."""
    if directory is not None:
        path = Path(shutil.copy(path, directory / "copy.fs"))
    database = DB(FileStorage(str(path), read_only=True))
    with database.transaction() as connection:
        number = connection.root()["number"]
    database.close()
    return number


def test_a_data_fs_deleted_under_its_server_is_critical(served: Deployment) -> None:
    data_fs(served, "deleted").unlink()

    found = read(served, "data-file", "deleted")

    assert found.state == "critical"
    assert "was deleted while zeo has it open" in found.sentence
    assert found.hint.startswith("do NOT restart zeo; stop its instances, then: cp /proc/")


def test_a_data_fs_moved_away_and_copied_back_is_critical_and_the_new_name_is_told(
    served: Deployment,
) -> None:
    """The server goes on with the moved file; a restart would show the copy, without the rest."""
    path = data_fs(served, "moved")
    old = path.with_name("Data.fs.2026")
    path.rename(old)
    missing = read(served, "data-file", "moved")
    shutil.copy(old, path)

    found = read(served, "data-file", "moved")

    assert {missing.state, found.state} == {"critical"}
    assert f"{path} was moved to {old} while zeo has it open: what" in missing.sentence
    assert f"{path} was moved to {old} while zeo has it open, and another file" in found.sentence
    assert found.hint == f"do NOT restart zeo, nor remove {old}: it has the newest commits"


def test_nothing_advises_to_restart_a_server_whose_commits_would_be_lost(
    served: Deployment,
) -> None:
    """Whoever reads at night may follow the first hint that he sees."""
    data_fs(served, "unlocked").with_name("Data.fs.lock").unlink()  # has a hint of its own
    before = look(served, only=("lock-holder", "process"))
    _replace_by_copy(data_fs(served, "other"))

    found = look(served, only=("lock-holder", "process", "data-file"))

    for check, subject in (("lock-holder", "unlocked"), ("process", "zeo")):
        assert "zmount restart zeo" in reading(before, check, subject).hint
        hint = reading(found, check, subject).hint
        assert hint.startswith("do NOT restart zeo: see data-file of "), hint
    assert not any("zmount restart zeo" in each.hint for each in found.readings)
    assert reading(found, "data-file", "other").keeps_up == "zeo"
    assert found.readings[0].keeps_up == "zeo"  # monitoring shows only the first few


def test_a_pack_that_ended_while_it_was_looked_is_no_replaced_file(served: Deployment) -> None:
    """What the server had open was seen before the pack, the file on the disk after it."""
    local = LocalProcesses(topology=served.topology, host=served.host)
    process = served.process("zeo")
    pid = _pid(served)
    scene = Scene(local=local, checks=frozenset(("data-file",)))
    seen_before = Opener(process=process, pid=pid).again()
    commit(served, "packed", number=2)
    inode = data_fs(served, "packed").stat().st_ino
    storage = client(served, "packed")
    storage.pack(wait=True)
    storage.close()
    assert data_fs(served, "packed").stat().st_ino != inode

    (found,) = file_readings(scene, served.topology.storage("packed"), seen_before)

    assert found.state == "ok", found.sentence


def _pid(deployment: Deployment) -> int:
    found = writer(data_fs(deployment, "content"))
    assert found is not None and found.pid is not None
    return found.pid


def test_a_file_that_another_process_has_open_while_the_server_is_down(down: Deployment) -> None:
    with _held(data_fs(down, "content")) as pid:
        found = read(down, "lock-holder", "content")

    assert found.state == "critical"
    assert found.sentence.startswith(f"pid {pid} (")
    assert found.sentence.endswith("holds the lock of its Data.fs; zeo should")
    assert f"ps -fp {pid}" in found.hint


def test_a_second_server_on_one_file_after_the_lock_was_removed(served: Deployment) -> None:
    """What it takes to destroy a file: ZODB's own lock does not show it any more."""
    path = data_fs(served, "taken")
    lock = path.with_name("Data.fs.lock")
    lock.unlink()
    unlocked = read(served, "lock-holder", "taken")
    with _held(path) as pid:
        found = read(served, "lock-holder", "taken")

    assert unlocked.state == "warning"
    assert "nobody holds the lock" in unlocked.sentence
    assert "though zeo runs" in unlocked.sentence
    assert found.state == "critical"
    assert found.sentence.startswith(f"pid {pid} (")


def test_a_file_that_is_served_read_only_is_neither_locked_nor_written_to(
    down: Deployment,
) -> None:
    down.rewrite(
        "<zeo zeo>\n  address var/zeo.sock\n</zeo>\n<storage content>\n  read-only on\n</storage>\n"
    )
    down.write_files()
    with running(down, "zeo"):
        found = look(down, only=("data-file", "lock-holder", "storage"))

    assert {each.check: each.state for each in found.readings} == {
        "data-file": "ok",
        "lock-holder": "ok",
        "storage": "ok",
    }


def test_an_index_that_is_missing_or_behind_is_judged_by_what_would_be_read(
    served: Deployment,
) -> None:
    index = data_fs(served, "behind").with_name("Data.fs.index")
    saved = read(served, "index", "behind")
    commit(served, "behind", text="x" * 5_000)
    behind = read(served, "index", "behind")
    commit(served, "behind", text="x" * 200_000)
    far_behind = read(served, "index", "behind")
    index.unlink()
    missing = read(served, "index", "behind")
    index.write_bytes(b"no index")
    none = read(served, "index", "behind")

    assert [each.state for each in (saved, behind, far_behind, missing, none)] == [
        "ok",
        "warning",
        "critical",
        "critical",
        "warning",
    ]
    size = data_fs(served, "behind").stat().st_size
    assert value(saved, "index_behind_bytes") == 0
    assert 5_000 < value(behind, "index_behind_bytes") < 6_000
    assert value(missing, "index_behind_bytes") == size
    assert missing.sentence.startswith("there is no saved index: ")
    assert str(index) in none.sentence


def test_a_data_fs_that_is_gone_while_its_server_is_down_is_critical(down: Deployment) -> None:
    """A server that is started now would make an empty one, and all would be gone."""
    path = data_fs(down, "content")
    path.rename(path.with_name("saved"))
    gone = read(down, "data-file", "content")
    path.with_name("Data.fs.index").unlink()

    never = read(down, "data-file", "content")

    assert (gone.state, never.state) == ("critical", "ok")
    assert "is gone, its index is still there" in gone.sentence
    assert "not there yet" in never.sentence


def _no_directory(blobs: Path) -> None:
    shutil.rmtree(blobs)


def _empty_directory(blobs: Path) -> None:
    shutil.rmtree(blobs)
    blobs.mkdir()


def _file(blobs: Path) -> None:
    shutil.rmtree(blobs)
    blobs.write_text("")


def _unknown_layout(blobs: Path) -> None:
    (blobs / ".layout").write_text("lawn2\n")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (_no_directory, "it is not there"),
        (_empty_directory, "it has no .layout: another file system may be missing there"),
        (_file, "it is no directory"),
        (_unknown_layout, "its layout is 'lawn2', which ZODB does not know"),
    ],
)
def test_a_blob_directory_that_is_none_is_critical(
    down: Deployment, spoil: object, said: str
) -> None:
    blobs = Path(str(down.topology.storage("content").blob_dir))
    before = read(down, "blobs", "content")
    spoil(blobs)  # type: ignore[operator]

    found = read(down, "blobs", "content")

    assert before.state == "ok"
    assert (found.state, found.sentence) == ("critical", f"{blobs}: {said}")


@pytest.fixture
def small(down: Deployment) -> Iterator[Path]:
    """The directory of the storage's file, on a volume of 1 MB; only root can make one."""
    directory = data_fs(down, "content").parent
    content = [(path, path.read_bytes()) for path in directory.iterdir() if path.is_file()]
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "zmount-test", str(directory)], check=True
    )
    try:
        for path, text in content:
            path.write_bytes(text)
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def test_a_full_disk_is_critical_and_so_is_what_may_not_be_packed(
    down: Deployment, small: Path
) -> None:
    _limit(down, "none none")
    plenty = read(down, "free-space", str(small))
    (small / "big").write_bytes(bytes(600_000))
    fill_bytes = 300_000
    with data_fs(down, "content").open("ab") as file:
        file.write(bytes(fill_bytes))
    no_pack = read(down, "free-space", str(small))
    _fill_up(small / "rest")
    _limit(down, "50KB 20KB")

    found = read(down, "free-space", str(small))

    assert plenty.state == "ok"
    assert no_pack.state == "warning"
    assert "; a pack of content may need 300." in no_pack.sentence
    assert found.state == "critical"
    assert value(found, "free_bytes") == 0
    assert found.sentence.startswith("0 bytes free")


def _limit(deployment: Deployment, limits: str) -> None:
    text = "<zeo zeo>\n  address var/zeo.sock\n</zeo>\n<storage content/>\n"
    deployment.rewrite(f"{text}<health>\n  free-space {limits}\n</health>\n")


def _fill_up(path: Path) -> None:
    with path.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
        while True:
            file.write(bytes(4096))


def test_a_server_on_a_full_disk_says_so_when_a_commit_is_tried(
    down: Deployment, small: Path
) -> None:
    with running(down, "zeo"):
        before = reading(look(down, writes=True), "write", "content")
        _fill_up(small / "rest")
        found = reading(look(down, writes=True), "write", "content")
        is_read = read(down, "storage", "content")

    assert before.state == "ok", before.sentence
    assert found.state == "critical"
    assert "No space left" in found.sentence
    assert is_read.state == "ok"


def test_volumes_that_hold_several_storages_are_told_once(served: Deployment) -> None:
    found = look(served, only=("free-space",))
    assert len(found.readings) == 1


def test_a_damaged_stage_is_critical(swaps: Swaps) -> None:
    assert swaps.swap().done == "swapped"
    before = read(swaps.deployment, "stage", STAGING)
    (generations_of(swaps.staging).path / "gen-000001" / "base.fs").unlink()
    swaps.stop()
    swaps.start()

    found = look(swaps.deployment)

    damaged = reading(found, "stage", STAGING)
    assert before.state == "ok"
    assert before.sentence.startswith("it shows generation 1 of production; ")
    assert damaged.state == "critical"
    assert "base.fs" in damaged.sentence
    assert damaged.hint == "zmount swap-stage x.org"
    assert reading(found, "storage", PRODUCTION).state == "ok"


def test_a_stage_whose_current_file_was_replaced_under_its_server_is_critical(
    swaps: Swaps,
) -> None:
    swaps.swap()
    changes = generations_of(swaps.staging).path / "gen-000001" / "changes.fs"
    before = read(swaps.deployment, "data-file", STAGING)
    _replace_by_copy(changes)

    found = read(swaps.deployment, "data-file", STAGING)

    assert (before.state, found.state) == ("ok", "critical")
    assert f"{changes} was replaced by another file" in found.sentence
