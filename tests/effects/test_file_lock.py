"""Who has a FileStorage open for writing."""

from __future__ import annotations

from pathlib import Path

from zmount.effects.file_lock import writer


def test_a_directory_in_place_of_the_lock_is_held_by_nobody(tmp_path: Path) -> None:
    (tmp_path / "Data.fs.lock").mkdir()

    assert writer(tmp_path / "Data.fs") is None
