"""``zmount index`` as a person or cron meets it, and ``zmount start`` that looks first."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from deployments import ZEO_ONLY, Deployment
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage
from ZODB.utils import p64, z64

from zmount.filestorage.cores import chosen

TWO = ZEO_ONLY + "<storage more/>\n"


def data_fs(deployment: Deployment, storage: str = "content") -> Path:
    path = deployment.topology.storage(storage).data_fs
    assert path is not None
    return Path(path)


def index_of(path: Path) -> Path:
    return path.with_name(path.name + ".index")


def fill(path: Path, *, sizes: tuple[int, ...] = (100,), twice_at_the_end: bool = False) -> None:
    """Write objects of these SIZES, each in a transaction of its own.

    ``twice_at_the_end``: and one that stands twice, as ZEO stores a blob.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    storage = FileStorage(str(path))
    for number, size in enumerate((*sizes, 100) if twice_at_the_end else sizes):
        transaction = TransactionMetaData()
        storage.tpc_begin(transaction)
        for _ in range(1 + (twice_at_the_end and number == len(sizes))):
            storage.store(p64(number), z64, b"cA\nB\n.N." + b"x" * size, "", transaction)
        storage.tpc_vote(transaction)
        storage.tpc_finish(transaction)
    storage.close()


LARGE = (1 << 20,) * 9  # more than FileStorage reads in no time


def is_opened_with_its_index(path: Path) -> bool:
    storage = FileStorage(str(path), read_only=True)
    used = bool(storage._used_index)
    storage.close()
    return used


def test_it_builds_what_filestorage_uses(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    path = data_fs(deployment)
    fill(path, sizes=(100, 200, 300))
    saved = index_of(path).read_bytes()
    index_of(path).unlink()

    done = deployment.zmount("index", "content")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("content: 3 objects in ")
    assert index_of(path).read_bytes() == saved


def test_as_json_it_has_numbers(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    path = data_fs(deployment)
    fill(path)

    (said,) = json.loads(deployment.zmount("index", "content", "--json").stdout)

    assert (said["storage"], said["result"], said["objects"]) == ("content", "built", 1)
    assert said["position"] == said["end"] == path.stat().st_size
    assert (said["error"], said["hint"]) == (None, None)


def test_a_storage_in_use_is_refused_and_the_others_are_not(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(TWO)
    fill(data_fs(deployment, "more"))
    index_of(data_fs(deployment, "more")).unlink()
    assert deployment.zmount("start").returncode == 0

    refused = deployment.zmount("index", "content", "--json")

    assert refused.returncode == 7
    assert "has it open for writing, and saves its index itself when it closes it" in refused.stderr
    assert "try: zmount stop zeo, if it must be built anew" in refused.stderr
    (said,) = json.loads(refused.stdout)
    assert said["result"] == "failed"
    both = deployment.zmount("index", "content", "more")
    assert both.returncode == 1
    assert "these have no new index: content, more" in both.stderr
    assert deployment.zmount("stop").returncode == 0
    assert deployment.zmount("index", "content", "more").returncode == 0


def test_what_is_no_storage_is_said_in_a_line(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    path = data_fs(deployment)
    missing = deployment.zmount("index", "content")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("text")
    text = deployment.zmount("index", "content")
    path.unlink()
    fill(path, sizes=(100, 200))
    content = bytearray(path.read_bytes())
    content[4 + 16] = ord("x")
    path.write_bytes(content)
    damaged = deployment.zmount("index", "content")

    for done, said, status in (
        (missing, "No such file", 12),
        (text, "does not begin as a FileStorage does", 12),
        (damaged, "damaged at byte 4: a transaction's status is none of those that exist", 14),
    ):
        assert (done.returncode, done.stdout) == (status, "")
        assert f"{path}: " in done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_an_unknown_storage_is_named(deploy: Callable[[str], Deployment]) -> None:
    done = deploy(ZEO_ONLY).zmount("index", "contents")
    assert done.returncode == 3
    assert "there is no storage 'contents'" in done.stderr
    assert "did you mean content?" in done.stderr


# Before a start


def test_start_builds_an_index_that_is_missing(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    path = data_fs(deployment)
    fill(path, sizes=LARGE)
    saved = index_of(path).read_bytes()
    index_of(path).unlink()

    done = deployment.zmount("start")

    assert done.returncode == 0, done.stderr
    if chosen().name == "compiled":  # the plain core leaves it to FileStorage, which is faster
        assert "the index of content built in " in done.stderr
        assert "there was none" in done.stderr
    assert index_of(path).read_bytes() == saved


def test_start_replaces_the_index_of_another_file(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    path = data_fs(deployment)
    fill(path, sizes=(100, 200, 300))
    right = index_of(path).read_bytes()
    other = path.with_name("other.fs")
    fill(other, sizes=(100, 300, 200))
    index_of(path).write_bytes(index_of(other).read_bytes())

    done = deployment.zmount("start", "--json")

    assert done.returncode == 0, done.stderr
    (said,) = json.loads(done.stdout)
    assert any(note.startswith("the index of content built in ") for note in said["notes"])
    assert index_of(path).read_bytes() == right


def test_start_puts_right_what_filestorage_would_refuse(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZEO_ONLY)
    path = data_fs(deployment)
    fill(path, sizes=LARGE, twice_at_the_end=True)
    assert not is_opened_with_its_index(path)

    done = deployment.zmount("start")

    assert "the index of content updated in 0." in done.stderr
    assert "FileStorage would have refused it" in done.stderr
    assert is_opened_with_its_index(path)
    log = (deployment.directory / "zeo" / "log").glob("*.log")
    assert not any("Ignoring index" in each.read_text() for each in log)


def test_start_says_nothing_of_indexes_that_are_right(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZEO_ONLY)
    fill(data_fs(deployment), sizes=LARGE)
    done = deployment.zmount("start")
    assert "index" not in done.stderr
    assert deployment.zmount("stop").returncode == 0
    assert "index" not in deployment.zmount("start").stderr


def test_a_damaged_file_is_started_all_the_same(deploy: Callable[[str], Deployment]) -> None:
    """To read a damaged file is FileStorage's business: it may open it where we do not."""
    deployment = deploy(ZEO_ONLY)
    path = data_fs(deployment)
    fill(path, sizes=LARGE)
    index_of(path).unlink()
    content = bytearray(path.read_bytes())
    content[4 + 16] = ord("x")  # a status that FileStorage warns of, no more
    path.write_bytes(bytes(content))

    done = deployment.zmount("start")

    assert done.returncode == 0, done.stderr
    if chosen().name == "compiled":
        assert "the index of content could not be made ready: " in done.stderr
        assert "damaged at byte 4" in done.stderr
