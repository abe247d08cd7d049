"""Positions by oid, for an index made from nothing: what a table would say, in less memory."""

from __future__ import annotations

from array import array
from pathlib import Path

import pytest
from fs_bytes import commits
from hypothesis import given, settings
from hypothesis import strategies as st

from zmount.filestorage import objects, places
from zmount.filestorage.cores import Cores
from zmount.filestorage.format import MAX_TID
from zmount.filestorage.index import buckets_of, sorted_pairs
from zmount.filestorage.objects import Table, scan
from zmount.filestorage.places import BUCKET, FREE, Places
from zmount.filestorage.source import open_source

CORES = ("index",)


def records(found: list[tuple[int, int]]) -> array[int]:
    return array("Q", (word for oid, at in found for word in (oid, at, 9, 0, 0, 4)))


def buckets_by_table(found: list[tuple[int, int]]) -> list[tuple[bytes, bytes]]:
    """Return the buckets of an index of these records, as a table makes them."""
    table = Table()
    if found:
        table.note(records(found), len(found))
    return list(buckets_of(sorted_pairs(table)))


oids = st.one_of(
    st.integers(0, 9),
    st.integers(BUCKET - 3, BUCKET + 3),
    st.integers(3 * BUCKET - 1, 3 * BUCKET + 1),
    st.integers(FREE - 2, FREE + 2),
    st.integers(2**40, 2**40 + 3),
    st.integers(2**64 - 3, 2**64 - 1),
)
found = st.lists(st.tuples(oids, st.integers(27, 2**40)), max_size=30)


@given(lists=st.lists(found, max_size=4))
@settings(deadline=None, max_examples=60)
def test_they_say_what_a_table_says(lists: list[list[tuple[int, int]]]) -> None:
    noted = Places()
    for each in lists:
        noted.note(records(each), len(each))
    assert list(noted.buckets()) == buckets_by_table([pair for each in lists for pair in each])
    known = {oid for each in lists for oid, _ in each}
    assert all((oid in noted) == (oid in known) for oid in (*known, 3, FREE, 2**50))


@given(one=found, other=found)
@settings(deadline=None, max_examples=60)
def test_of_two_the_later_position_wins(
    one: list[tuple[int, int]], other: list[tuple[int, int]]
) -> None:
    first, second = Places(), Places()
    first.note(records(one), len(one))
    second.note(records(other), len(other))
    first.take(second)
    assert list(first.buckets()) == buckets_by_table(one + other)


def test_what_came_before_there_was_room_for_it_is_not_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(places, "FREE", BUCKET)
    noted = Places()
    far = 4 * BUCKET
    first, near = [(far, 900)], [(oid, 100 + oid) for oid in range(BUCKET)]
    noted.note(records(first), 1)
    assert noted.others.count == 1
    noted.note(records(near), len(near))
    then = [(far, 500), (far + 1, 600)]
    noted.note(records(then), 2)
    assert len(noted.words) > far
    assert list(noted.buckets()) == buckets_by_table(first + near + then)


def test_an_oid_far_beyond_the_others_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    noted = Places()
    for oid in (0, 2**40, 2**63):
        noted.note(records([(oid, 100)]), 1)
    assert len(noted.words) == BUCKET


def test_both_cores_note_the_same(cores: Cores) -> None:
    noted = Places()
    noted.core = cores.index
    pairs = [(5, 100), (2 * BUCKET, 200), (5, 90), (2**50, 300), (7, 400)]
    noted.note(records(pairs), len(pairs))
    other = Places()
    other.core = cores.index
    other.note(records([(7, 500), (8, 60)]), 2)
    noted.take(other)
    assert list(noted.buckets()) == buckets_by_table([*pairs, (7, 500), (8, 60)])


def test_a_scan_notes_in_them_what_it_notes_in_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "Data.fs"
    path.write_bytes(commits(*((number % 7, number + 100, 2**41) for number in range(300))))
    with open_source(path) as source:
        expected = list(buckets_of(sorted_pairs(scan(source, source.end, until=MAX_TID).table)))
        for least in (0, 1 << 30):
            monkeypatch.setattr(objects, "TWO_THREADS_FROM", least)
            monkeypatch.setattr(objects, "CLAIM", 1000)
            noted = objects.scan_into(Places, source, source.end)
            assert list(noted.buckets()) == expected
