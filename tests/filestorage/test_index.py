"""FileStorage's index: written as FileStorage writes it, read without trusting it."""

from __future__ import annotations

import os
import resource
import stat
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fs_bytes import commits
from histories import Writer, examples, fast_directory, histories
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ZODB.FileStorage import FileStorage
from ZODB.fsIndex import fsIndex
from ZODB.utils import p64, u64

from zmount.errors import StorageUnreadable, StorageUnwritable
from zmount.filestorage.index import read_index, sorted_pairs, write_index
from zmount.filestorage.objects import Table, scan
from zmount.filestorage.source import open_source

oids = st.one_of(st.integers(0, 300), st.integers(0, 2**64 - 1), st.just(2**64 - 1))
positions = st.integers(4, 2**48 - 1)


def table_of(entries: dict[int, int], flags: dict[int, int] | None = None) -> Table:
    """Return a table of these positions."""
    table = Table()
    for oid, position in entries.items():
        table.set(oid, position << 4 | (flags or {}).get(oid, 0))
    return table


def fsindex_of(entries: dict[int, int]) -> fsIndex:
    """Return ZODB's own index of these positions."""
    index = fsIndex()
    for oid, position in entries.items():
        index[p64(oid)] = position
    return index


@given(entries=st.dictionaries(oids, positions, max_size=60), position=st.integers(4, 2**48))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_it_is_byte_for_byte_what_zodb_saves(
    entries: dict[int, int], position: int, tmp_path: Path
) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    fsindex_of(entries).save(position, theirs)

    assert write_index(ours, table_of(entries), position) == len(entries)

    assert ours.read_bytes() == theirs.read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["ours", "theirs"]  # noqa: PTH208


@given(entries=st.dictionaries(oids, positions, max_size=60), position=st.integers(4, 2**62))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_zodb_saves_is_read(entries: dict[int, int], position: int, tmp_path: Path) -> None:
    path = tmp_path / "index"
    fsindex_of(entries).save(position, path)

    saved = read_index(path)

    assert saved is not None
    assert saved.position == position
    assert len(saved) == len(entries)
    assert dict(saved.entries(range(len(saved)))) == entries
    assert list(saved.entries(range(1, len(saved), 2))) == sorted(entries.items())[1::2]
    assert {u64(oid): at for oid, at in saved.as_fsindex().items()} == entries


@given(history=histories(packed=False))
@settings(max_examples=examples(40), deadline=None)
def test_it_equals_what_a_file_storage_makes_of_a_history(history: Any) -> None:
    """Objects whose creation was undone are in it, as FileStorage keeps them."""
    with TemporaryDirectory(dir=fast_directory(Path()), prefix="zm-") as directory:
        writer = Writer(Path(directory, "Data.fs"))
        writer.write(history)
        writer.close()
        saved = writer.path.with_name("Data.fs.index").read_bytes()
        path = writer.path.with_name("ours")
        with open_source(writer.path) as source:
            write_index(path, scan(source, source.end).table, source.end)
        assert path.read_bytes() == saved
        path.replace(writer.path.with_name("Data.fs.index"))
        opened = FileStorage(str(writer.path), read_only=True)
        scanned = fsIndex()
        scanned.update(opened._index)
        opened.close()
        writer.path.with_name("Data.fs.index").unlink()
        opened = FileStorage(str(writer.path), read_only=True)
        assert opened._index.items() == scanned.items()
        opened.close()


def test_only_what_has_the_flag_is_written(tmp_path: Path) -> None:
    path = tmp_path / "index"
    table = table_of({1: 100, 2: 200, 3: 300}, {1: 8, 2: 2, 3: 8 | 2})

    assert write_index(path, table, 400, flag=8) == 2

    assert dict(fsIndex.load(path)["index"].items()) == {p64(1): 100, p64(3): 300}


def test_objects_without_a_record_before_the_pack_time_are_not_in_it() -> None:
    table = table_of({1: 100}, {1: 4})
    table.set(2, 4)  # only the flag: it has a record after the pack time

    assert sorted_pairs(table).tolist() == [1, 100]


def test_the_file_is_as_accessible_as_the_data_file(tmp_path: Path) -> None:
    data, path = tmp_path / "Data.fs", tmp_path / "Data.fs.index"
    data.write_bytes(commits((0,)))
    for mode in (0o600, 0o640, 0o664):
        data.chmod(mode)
        if os.geteuid() == 0:
            os.chown(data, 1234, 1235)
        write_index(path, table_of({1: 100}), 200, like=data)
        found = path.stat()
        assert stat.S_IMODE(found.st_mode) == mode
        assert (found.st_uid, found.st_gid) == (data.stat().st_uid, data.stat().st_gid)


def test_a_full_disk_leaves_the_index_that_was(tmp_path: Path) -> None:
    path = tmp_path / "index"
    write_index(path, table_of({1: 100}), 200)
    before = path.read_bytes()
    table = table_of({oid: oid + 4 for oid in range(2000)})

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    code = (
        "import signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from zmount.errors import StorageUnwritable\n"
        "from zmount.filestorage.index import write_index\n"
        "from zmount.filestorage.objects import Table\n"
        "table = Table()\n"
        "for oid in range(2000): table.set(oid, oid + 4 << 4)\n"
        "try: write_index(sys.argv[1], table, 9999)\n"
        "except StorageUnwritable as why: print(why)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, preexec_fn=limit
    )
    assert done.stdout == f"{path}: the index cannot be written: File too large\n", done.stderr
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["index"]
    assert write_index(path, table, 9999) == 2000


def test_what_was_left_of_a_killed_writer_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "index"
    (tmp_path / "index.new").write_bytes(b"half")

    write_index(path, table_of({1: 100}), 200)

    assert [each.name for each in tmp_path.iterdir()] == ["index"]


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "index"
    with pytest.raises(StorageUnwritable, match="No such file") as caught:
        write_index(path, table_of({1: 100}), 200)
    assert str(path) in str(caught.value)


# Reading what may be anything


def test_there_may_be_none(tmp_path: Path) -> None:
    assert read_index(tmp_path / "index") is None


def test_a_directory_is_no_index(tmp_path: Path) -> None:
    with pytest.raises(StorageUnreadable, match="Is a directory"):
        read_index(tmp_path)


def test_nothing_in_it_is_called(tmp_path: Path) -> None:
    """ZODB itself would unpickle this."""
    path = tmp_path / "index"
    victim = tmp_path / "victim"
    path.write_bytes(b"\x80\x03cos\nmkdir\nX" + bytes([len(str(victim)), 0, 0, 0]))
    path.write_bytes(path.read_bytes() + str(victim).encode() + b"\x85R.")

    with pytest.raises(StorageUnreadable, match="a position is expected"):
        read_index(path)

    assert not victim.exists()


def _saved(tmp_path: Path) -> bytes:
    path = tmp_path / "sound"
    fsindex_of({oid: oid + 4 for oid in (*range(70), *range(2**20, 2**20 + 9))}).save(999, path)
    return path.read_bytes()


def test_an_index_cut_short_anywhere_is_none(tmp_path: Path) -> None:
    content = _saved(tmp_path)
    path = tmp_path / "index"
    for size in range(len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(StorageUnreadable) as caught:
            read_index(path)
        assert str(path) in str(caught.value)


@given(
    flips=st.lists(st.tuples(st.integers(0, 2**12), st.integers(0, 255)), min_size=1, max_size=4)
)
@settings(
    deadline=None,
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_damaged_index_is_read_or_refused_in_words(
    flips: list[tuple[int, int]], tmp_path: Path
) -> None:
    content = bytearray(_saved(tmp_path))
    for at, value in flips:
        content[at % len(content)] = value
    path = tmp_path / "index"
    path.write_bytes(bytes(content))
    try:
        saved = read_index(path)
    except StorageUnreadable:
        return
    assert saved is not None
    saved.as_fsindex()
    assert len(list(saved.entries(range(len(saved))))) == len(saved)


@given(noise=st.binary(max_size=100))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_refused_in_words(noise: bytes, tmp_path: Path) -> None:
    path = tmp_path / "index"
    for content in (noise, b"\x80\x03K\x04." + noise, b"\x80\x03K\x04.\x80\x03C\x06" + noise):
        path.write_bytes(content)
        try:
            read_index(path)
        except StorageUnreadable as why:
            assert str(path) in str(why)
