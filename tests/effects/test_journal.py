"""What is in the journal, and what happens when it cannot be read."""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

import pytest

from zmount.effects.journal import begin, complete, is_unfinished, prune, unfinished
from zmount.errors import ApplyFailed
from zmount.plan.plan import Plan
from zmount.plan.steps import FileState, WriteFile

PLAN = Plan(
    title="write one",
    host="here",
    steps=(
        WriteFile(
            path=PurePosixPath("/opt/vsa/a"), new=FileState(text="ä\udcff\n", mode=0o644), old=None
        ),
    ),
)


def test_an_entry_goes_from_begun_to_done(tmp_path: Path) -> None:
    entry = begin(tmp_path, PLAN)
    assert [found.state for found in unfinished(tmp_path)] == ["begun"]
    entry = entry.become("committed")
    assert [found.state for found in unfinished(tmp_path)] == ["committed"]
    assert is_unfinished(tmp_path)
    entry = entry.become("done")
    assert not is_unfinished(tmp_path)
    (found,) = complete(tmp_path)
    assert found == entry
    assert found.plan == PLAN


def test_numbers_go_on_after_old_entries_are_gone(tmp_path: Path) -> None:
    for _ in range(3):
        begin(tmp_path, PLAN).become("done")
    shutil.rmtree(tmp_path / "journal" / "000001")
    assert begin(tmp_path, PLAN).number == 4


def test_a_dropped_entry_leaves_nothing(tmp_path: Path) -> None:
    begin(tmp_path, PLAN).drop()
    assert list(tmp_path.iterdir()) == []


def test_an_entry_that_died_before_it_began_is_no_entry_and_is_cleared_away(
    tmp_path: Path,
) -> None:
    dead = tmp_path / "journal" / "000001"
    dead.mkdir(parents=True)
    (dead / "begun.new").write_text('{"half')
    assert unfinished(tmp_path) == ()
    assert not is_unfinished(tmp_path)
    prune(tmp_path)
    assert not dead.exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"half'])
def test_an_unfinished_entry_that_cannot_be_read_is_said_not_skipped(
    tmp_path: Path, text: str
) -> None:
    entry = begin(tmp_path, PLAN)
    (entry.directory / "begun.json").write_text(text)
    with pytest.raises(ApplyFailed, match=r"000001/begun.json: the journal's entry cannot be read"):
        unfinished(tmp_path)


def test_an_old_entry_that_cannot_be_read_stands_in_nobodys_way(tmp_path: Path) -> None:
    entry = begin(tmp_path, PLAN).become("done")
    (entry.directory / "done.json").write_text("garbage")
    begin(tmp_path, PLAN).become("done")
    assert unfinished(tmp_path) == ()
    assert next(complete(tmp_path)).number == 2
