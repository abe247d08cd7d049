"""Large files go piece by piece, and only where nobody else sees them."""

from __future__ import annotations

from pathlib import Path

import pytest

from zmount.server.large_files import LARGE, PIECE, removal

SIZE = LARGE + 3 * PIECE


@pytest.fixture
def large(tmp_path: Path) -> Path:
    path = tmp_path / "large"
    path.write_bytes(b"\1" * SIZE)
    return path


def test_a_file_that_is_nobodys_goes_in_pieces(large: Path) -> None:
    steps = removal(large)
    next(steps)
    assert not large.exists()
    assert len(list(steps)) >= SIZE // PIECE - 2


def test_another_name_keeps_all_of_it(large: Path) -> None:
    other = large.with_name("production")
    other.hardlink_to(large)
    for _ in removal(large):
        pass
    assert not large.exists()
    assert other.read_bytes() == b"\1" * SIZE


def test_who_reads_it_goes_on_reading_all_of_it(large: Path) -> None:
    with large.open("rb") as reading:
        for _ in removal(large):
            pass
        assert not large.exists()
        assert reading.read() == b"\1" * SIZE


def test_a_removal_that_is_left_in_the_middle_has_removed_the_name(large: Path) -> None:
    steps = removal(large)
    next(steps)
    steps.close()
    assert list(large.parent.iterdir()) == []


def test_a_small_file_and_a_link_go_at_once(tmp_path: Path, large: Path) -> None:
    small, link = tmp_path / "small", tmp_path / "link"
    small.write_bytes(b"1")
    link.symlink_to(large)
    assert [list(removal(path)) for path in (small, link)] == [[], []]
    assert large.stat().st_size == SIZE
