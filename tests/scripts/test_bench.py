"""``scripts/bench`` runs and prints its tables; what it measures is a sound database."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import BTrees.check
import pytest
from persistent.mapping import PersistentMapping
from ZODB import DB
from ZODB.FileStorage import FileStorage
from ZODB.scripts import fsrefs, fstest

BENCH = Path(__file__).parent.parent.parent / "scripts" / "bench"


def bench(*arguments: str | Path) -> str:
    """Run the script, which must succeed; return what it printed."""
    done = subprocess.run(
        [sys.executable, str(BENCH), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(printed: str, first: int, last: int) -> list[list[str]]:
    """Return columns of the rows of the table in what was PRINTED."""
    lines = [line for line in printed.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.split("|")[first:last]] for line in lines[1:]]


@pytest.fixture(scope="module")
def databases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the smallest database."""
    directory = tmp_path_factory.mktemp("bench")
    bench("generate", "--size", "tiny", "--directory", directory)
    return directory


@pytest.fixture
def database(databases: Path) -> Iterator[DB]:
    """The smallest database, open for reading."""
    path = databases / "tiny.fs"
    opened = DB(FileStorage(str(path), blob_dir=f"{path}.blobs", read_only=True))
    yield opened
    opened.close()


def test_check_render_prints_a_row_for_each_command_and_size():
    printed = bench("check-render", "--rounds", "1", "--sites", "1", "--sites", "2")

    assert rows(printed, 1, 5) == [
        ["check", "1", "2", "4"],
        ["check", "2", "4", "8"],
        ["render", "1", "2", "4"],
        ["render", "2", "4", "8"],
    ]


@pytest.fixture(scope="module")
def packed(databases: Path) -> str:
    """What scripts/bench pack prints."""
    return bench("pack", "--size", "tiny", "--rounds", "1", "--directory", databases)


def test_pack_prints_a_row_for_each_time_and_packer(packed):
    packers = ["FileStorage", "zmount", "cp", "cp, fsync"]
    expected = [["tiny, 1 MB", time, by] for time in ("now", "middle") for by in packers]
    assert rows(packed, 1, 4) == expected


def test_pack_finds_that_both_packers_write_the_same_file(packed):
    columns = rows(packed, 3, 11)
    assert [row[-1] for row in columns if row[0] == "zmount"] == ["yes", "yes"]


def test_index_prints_a_row_for_each_way(databases):
    printed = bench("index", "--size", "tiny", "--rounds", "1", "--directory", databases)

    assert rows(printed, 2, 3) == [["FileStorage"], ["zmount"]]


def test_verify_prints_a_row_for_each_way(databases):
    printed = bench("verify", "--size", "tiny", "--rounds", "1", "--directory", databases)

    assert rows(printed, 2, 3) == [["fstest"], ["fsrefs"], ["zmount"]]


def test_clone_prints_a_row_for_each_way(databases):
    printed = bench("clone", "--size", "tiny", "--rounds", "1", "--directory", databases)

    assert rows(printed, 2, 3) == [["cp"], ["cp, fsync"], ["zmount"]]


def test_latency_prints_a_row_for_each_packer_and_kind_of_call(databases):
    printed = bench(
        *("latency", "--size", "tiny", "--rounds", "1", "--directory", databases),
        *("--quiet", "0.5", "--writers", "1"),
    )

    packers = ["no pack", "FileStorage", "zmount"]
    expected = [["tiny, 1 MB", by, calls] for by in packers for calls in ("commits", "loads")]
    assert rows(printed, 1, 4) == expected


def test_swap_prints_a_row_for_each_way_and_the_pace_of_loads(databases):
    printed = bench(
        *("swap", "--size", "tiny", "--rounds", "1", "--directory", databases, "--quiet", "0.2"),
    )

    ways = ["link, first", "link, 100 new blobs", "copy", "`cp`, fsync"]
    assert rows(printed, 1, 3)[: len(ways)] == [["tiny, 1 MB", way] for way in ways]
    assert len(rows(printed, 1, 5)) == len(ways) + 2  # the second table's head, and its row


def test_the_same_database_is_made_each_time(databases, tmp_path):
    bench("generate", "--size", "tiny", "--directory", tmp_path)

    digests = [
        hashlib.sha1((directory / "tiny.fs").read_bytes()).hexdigest()
        for directory in (databases, tmp_path)
    ]
    assert digests[0] == digests[1]


def test_a_database_is_made_once(databases):
    before = (databases / "tiny.fs").stat()

    bench("generate", "--size", "tiny", "--directory", databases)

    assert (databases / "tiny.fs").stat() == before


def test_mounts_prints_a_row_for_each_way_of_reading(databases):
    printed = bench(
        "mounts", "--size", "tiny", "--mounts", "3", "--rounds", "1", "--directory", databases
    )

    assert [row[1:3] for row in rows(printed, 1, 7)] == [
        ["from their files", "3"],
        ["through ZEO", "3"],
    ]


def test_the_database_is_what_filestorage_would_have_written(databases, capsys):
    fstest.check(str(databases / "tiny.fs"))
    fsrefs.main(str(databases / "tiny.fs"))

    assert capsys.readouterr().out == ""


def test_the_index_is_the_one_that_filestorage_builds(databases, tmp_path):
    (tmp_path / "Data.fs").write_bytes((databases / "tiny.fs").read_bytes())

    with (
        closing(FileStorage(str(tmp_path / "Data.fs"))) as built,
        closing(FileStorage(str(databases / "tiny.fs"), read_only=True)) as loaded,
    ):
        assert list(built._index.items()) == list(loaded._index.items())
        assert built.getSize() == loaded.getSize()


def test_the_database_holds_sound_trees_of_objects_and_blobs(database):
    with database.transaction() as connection:
        root = connection.root()
        trees = [root["blobs"]["items"], root["sections"]["items"]]
        trees += [section["items"] for section in root["sections"]["items"].values()]
        folders = [folder for tree in trees[2:] for folder in tree.values()]
        trees += [folder["items"] for folder in folders]
        for tree in (*trees, root["catalog"]):
            tree._check()
            BTrees.check.check(tree)

        documents = [document for folder in folders for document in folder["items"].values()]
        assert len(documents) == 534
        assert all(type(document) is PersistentMapping for document in documents)
        assert {len(blob.open("r").read()) > 0 for blob in trees[0].values()} == {True}
