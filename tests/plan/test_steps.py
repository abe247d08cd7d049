"""Steps turned round, kept in the journal, and shown without secrets."""

from __future__ import annotations

import json
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmount.plan.plan import Plan
from zmount.plan.records import plan_from_record, plan_to_record
from zmount.plan.steps import (
    FileState,
    MakeDirectory,
    Owner,
    RemoveDirectory,
    RemoveFile,
    SetMode,
    Step,
    WriteFile,
)

PATH = PurePosixPath("/opt/vsa/etc/zope.conf")

owners = st.none() | st.builds(Owner, uid=st.integers(0, 9), gid=st.integers(0, 9))
texts = st.text(st.characters(codec=None), max_size=20)  # lone surrogates, too
states = st.builds(FileState, text=texts, mode=st.sampled_from([0o600, 0o644]), owner=owners)
paths = st.sampled_from(["/a/b", "/a/c d", "/ü"]).map(PurePosixPath)
names = st.lists(st.sampled_from(["zeo", "dev"]), max_size=2).map(tuple)
steps: st.SearchStrategy[Step] = st.one_of(
    st.builds(WriteFile, path=paths, new=states, old=st.none() | states, processes=names),
    st.builds(RemoveFile, path=paths, old=states, processes=names),
    st.builds(SetMode, path=paths, new=states, old=states, processes=names),
    st.builds(MakeDirectory, path=paths, mode=st.just(0o700), owner=owners),
    st.builds(RemoveDirectory, path=paths, mode=st.just(0o755), owner=owners),
)


@given(steps)
def test_a_step_undone_twice_is_the_step(step: Step) -> None:
    assert step.undo().undo() == step


@given(st.lists(steps, max_size=4), st.integers(0, 3))
def test_a_plan_comes_back_from_the_journal_as_it_was(some: list[Step], undoes: int) -> None:
    record = WriteFile(path=PATH, new=FileState(text="{}", mode=0o600), old=None)
    plan = Plan(title="t", host="h", steps=tuple(some), record=record, undoes=undoes)
    assert plan_from_record(json.loads(json.dumps(plan_to_record(plan)))) == plan


@pytest.mark.parametrize("broken", [{}, {"steps": 3}, {"record": None, "steps": [{}]}])
def test_what_is_no_record_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        plan_from_record(broken)


def test_neither_words_nor_json_nor_repr_show_a_text() -> None:
    secret = FileState(text="password hunter2", mode=0o600)
    other = FileState(text="password hunter3", mode=0o644)
    some: tuple[Step, ...] = (
        WriteFile(path=PATH, new=secret, old=other),
        RemoveFile(path=PATH, old=secret),
        SetMode(path=PATH, new=secret, old=other),
    )
    plan = Plan(title="t", host="h", steps=some)
    for shown in (str(plan), repr(plan), json.dumps(plan.as_json())):
        assert "hunter" not in shown


def test_a_plan_expects_the_files_that_it_touches_to_be_as_they_were() -> None:
    old = FileState(text="a", mode=0o644)
    plan = Plan(
        title="t",
        host="h",
        steps=(
            WriteFile(path=PATH, new=old, old=None),
            RemoveFile(path=PATH, old=old),
            MakeDirectory(path=PATH),
        ),
    )
    assert [expected.checksum for expected in plan.expectations] == ["", old.checksum]


def test_the_processes_of_a_plan_are_those_that_read_its_files() -> None:
    state = FileState(text="a", mode=0o644)
    plan = Plan(
        title="t",
        host="h",
        steps=(
            WriteFile(path=PATH, new=state, old=None, processes=("zeo", "dev")),
            RemoveFile(path=PATH, old=state, processes=("dev", "pub")),
        ),
    )
    assert plan.processes == ("zeo", "dev", "pub")
