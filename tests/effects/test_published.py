"""Files that are replaced as a whole."""

from __future__ import annotations

from pathlib import Path

from checkups import as_nobody

from zmount.effects.published import publish
from zmount.errors import ApplyFailed


def test_a_text_takes_the_place_of_another_with_its_mode_and_leaves_nothing_beside(
    tmp_path: Path,
) -> None:
    path = tmp_path / "zmount.prom"
    publish(path, "one\n")
    publish(path, "two\n", mode=0o600)

    assert path.read_text() == "two\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_that_may_not_be_looked_into_is_one_clear_line(short_directory: Path) -> None:
    """Path.exists, which raises there, was once asked to word the hint."""
    hidden = short_directory / "hidden"
    hidden.mkdir(mode=0o700)
    short_directory.chmod(0o711)

    def told() -> list[str]:
        try:
            publish(hidden / "zmount.prom", "text")
        except ApplyFailed as why:
            return [str(why).partition(": ")[2], why.hint]
        return []

    assert as_nobody(told) == ["cannot be written: Permission denied", "name another file"]
