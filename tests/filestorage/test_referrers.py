"""The file that tells a packer who may refer to a database."""

from __future__ import annotations

from pathlib import Path

import pytest

from zmount.filestorage.referrers import Referrers, Unreadable, read_referrers


@pytest.fixture
def data_fs(tmp_path: Path) -> Path:
    return tmp_path / "Data.fs"


def say(data_fs: Path, text: str) -> None:
    data_fs.with_name("Data.fs.referrers").write_text(text)


def test_nobody_refers_to_a_database_without_the_file(data_fs: Path):
    assert read_referrers(data_fs) == Referrers()


def test_a_referrer_is_known_by_the_name_that_it_uses(data_fs: Path):
    say(data_fs, "# a comment\n\ndatabase site\nreferrer site /srv/other place/Data.fs\n")

    found = read_referrers(data_fs)

    assert found.names == {"site"}
    assert dict(found.files) == {Path("/srv/other place/Data.fs"): {"site"}}
    assert found.unreadable == ()


def test_one_file_may_use_several_names(data_fs: Path):
    say(data_fs, "referrer a /x.fs\nreferrer b /x.fs\n")

    found = read_referrers(data_fs)

    assert found.names == {"a", "b"}
    assert dict(found.files) == {Path("/x.fs"): {"a", "b"}}


def test_a_list_says_who_refers_by_the_name_that_it_is_named_with(data_fs: Path):
    listed = data_fs.with_name("list of pub")
    listed.write_text("referrer /x.fs\nunreadable two:sql <relstorage> is none\n")
    say(data_fs, f"list main {listed}\n")

    found = read_referrers(data_fs)

    assert dict(found.files) == {Path("/x.fs"): {"main"}}
    assert [str(one) for one in found.unreadable] == ["two:sql: <relstorage> is none"]


def test_a_database_is_no_referrer_of_itself_by_whatever_path(data_fs: Path, tmp_path: Path):
    data_fs.write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path)
    listed = tmp_path / "list"
    listed.write_text(f"referrer {tmp_path}/link/Data.fs\nreferrer {tmp_path}/other.fs\n")
    say(data_fs, f"list main {listed}\n")

    assert list(read_referrers(data_fs).files) == [tmp_path / "other.fs"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("unreadable main two:root its file is on another host", "two:root: its file is on an"),
        ("unreadable main two:root", "two:root: no reason is given"),
        ("referrer main relative/Data.fs", "Data.fs.referrers:1: not understood: referrer main"),
        ("referrer main", "not understood"),
        ("database", "not understood"),
        ("database two names", "not understood"),
        ("refers main /x.fs", "not understood: refers main /x.fs"),
        ("list main /not/there", "/not/there: No such file or directory"),
        ("list main", "not understood"),
    ],
)
def test_what_is_not_understood_or_not_there_forbids_gc(data_fs: Path, line: str, reason: str):
    say(data_fs, line + "\n")

    found = read_referrers(data_fs)

    assert not found.files
    assert len(found.unreadable) == 1
    assert reason in str(found.unreadable[0])


def test_a_list_cannot_name_another_list(data_fs: Path):
    listed = data_fs.with_name("list")
    listed.write_text(f"list {listed}\n")
    say(data_fs, f"list main {listed}\n")

    assert "not understood" in str(read_referrers(data_fs).unreadable[0])


def test_a_file_that_may_not_be_read_forbids_gc(data_fs: Path):
    data_fs.with_name("Data.fs.referrers").mkdir()

    assert read_referrers(data_fs).unreadable == (
        Unreadable(where=f"{data_fs}.referrers", reason="Is a directory"),
    )


def test_a_database_that_is_not_there_yet_refers_to_nothing(data_fs: Path, tmp_path: Path):
    to_come, lost = tmp_path / "to come" / "Data.fs", tmp_path / "lost" / "Data.fs"
    for path in (to_come, lost):
        path.parent.mkdir()
    say(to_come, "database other\n")
    say(data_fs, f"referrer main {to_come}\nreferrer main {lost}\n")

    assert list(read_referrers(data_fs).files) == [lost]


def generation(directory: Path, name: str) -> Path:
    path = directory / name
    path.mkdir(parents=True)
    (path / "base.fs").write_bytes(b"FS30")
    (path / "changes.fs").write_bytes(b"FS30")
    return path


def test_what_a_stage_shows_refers_and_what_may_come_back(data_fs: Path, tmp_path: Path):
    stage = tmp_path / "generations"
    first, second = generation(stage, "gen-000001"), generation(stage, "gen-000002")
    generation(stage, "gen-000003.new")
    say(data_fs, f"stage main {stage}\n")

    found = read_referrers(data_fs)

    assert set(found.files) == {
        path / name for path in (first, second) for name in ("base.fs", "changes.fs")
    }
    assert found.unreadable == ()


def test_a_base_that_is_the_database_itself_is_no_referrer(data_fs: Path, tmp_path: Path):
    data_fs.write_bytes(b"FS30")
    made = generation(tmp_path / "generations", "gen-000001")
    (made / "base.fs").unlink()
    (made / "base.fs").hardlink_to(data_fs)
    say(data_fs, f"stage main {made.parent}\n")

    assert set(read_referrers(data_fs).files) == {made / "changes.fs"}


def test_one_file_of_several_names_is_read_once(data_fs: Path, tmp_path: Path):
    other = tmp_path / "other.fs"
    other.write_bytes(b"FS30")
    (tmp_path / "link.fs").hardlink_to(other)
    say(data_fs, f"referrer a {other}\nreferrer b {tmp_path}/link.fs\n")

    assert dict(read_referrers(data_fs).files) == {other: {"a", "b"}}


def test_a_stage_that_is_not_there_cannot_be_read(data_fs: Path):
    say(data_fs, "stage main /nowhere/generations\n")

    assert [str(one) for one in read_referrers(data_fs).unreadable] == [
        "/nowhere/generations: No such file or directory"
    ]
