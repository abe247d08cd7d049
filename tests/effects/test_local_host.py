"""What is seen of a machine."""

from __future__ import annotations

import getpass
import os
from pathlib import Path, PurePosixPath

import pytest

from zmount.effects.local_host import observe
from zmount.plan.seen import Seen


def see(*paths: Path) -> Seen:
    return observe(files=[PurePosixPath(path) for path in paths], directories=(), users=())


def test_a_file_is_seen_with_its_text_and_mode(tmp_path: Path) -> None:
    path = tmp_path / "zeo.conf"
    path.write_text("a\n")
    path.chmod(0o640)
    state = see(path).files[PurePosixPath(path)]
    assert (state.text, state.mode) == ("a\n", 0o640)


def test_a_file_that_is_not_there_is_not_seen(tmp_path: Path) -> None:
    seen = see(tmp_path / "zeo.conf", tmp_path / "no" / "such")
    assert seen.files == {}
    assert seen.obstacles == {}


@pytest.mark.parametrize("content", [b"\xff\xfe", b"a\r\nb\r\n", b"", "é".encode()])
def test_bytes_that_are_no_text_are_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "binary"
    path.write_bytes(content)
    state = see(path).files[PurePosixPath(path)]
    assert state.text.encode("utf-8", "surrogateescape") == content


def test_a_symbolic_link_is_an_obstacle_wherever_it_points(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("")
    for name, target in (("link", "real"), ("dangling", "nothing")):
        (tmp_path / name).symlink_to(target)
        seen = see(tmp_path / name)
        assert "symbolic link" in seen.obstacles[PurePosixPath(tmp_path / name)]


def test_a_directory_or_a_pipe_in_the_place_of_a_file_is_an_obstacle(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("directory", "pipe"):
        seen = see(tmp_path / name)
        assert "something else is in the way" in seen.obstacles[PurePosixPath(tmp_path / name)]


def test_a_link_to_a_directory_is_a_directory(tmp_path: Path) -> None:
    (tmp_path / "disk2").mkdir()
    (tmp_path / "var").symlink_to("disk2")
    path = PurePosixPath(tmp_path / "var")
    seen = observe(files=(), directories=(path,), users=())
    assert path in seen.directories


def test_users_are_seen_if_they_exist() -> None:
    seen = observe(files=(), directories=(), users=("root", "no-such-user"))
    assert set(seen.users) == {"root"}
    assert seen.users["root"].uid == 0
    assert seen.user == getpass.getuser() or os.geteuid() != os.getuid()
