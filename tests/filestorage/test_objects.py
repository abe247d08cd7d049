"""The table of objects, and the scan that fills it, from one end or from both."""

from __future__ import annotations

import random
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fs_bytes import Record, Transaction, commits, file_of, read_by_zodb
from histories import Writer, examples, fast_directory, histories
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zmount.errors import CorruptFile
from zmount.filestorage import objects
from zmount.filestorage.cores import Cores
from zmount.filestorage.format import FIRST, MAX_TID, REASONS
from zmount.filestorage.objects import Found, Table, _from_both_ends, scan
from zmount.filestorage.source import Source, open_source

CORES = ("records", "mark")


@contextmanager
def source_of(content: bytes, tmp_path: Path) -> Iterator[Source]:
    path = tmp_path / "Data.fs"
    path.write_bytes(content)
    with open_source(path) as source:
        yield source


def words_of(table: Table) -> dict[int, int]:
    """Return what TABLE holds: the word of each key."""
    slots = table.slots
    return {slots[at]: slots[at + 1] for at in range(0, len(slots), 2) if slots[at + 1]}


def table_with(core: Any, words: dict[int, int], slots: int = 8) -> Table:
    table = Table(slots)
    table.core = core
    for key, word in words.items():
        table.set(key, word)
    return table


def records(*found: tuple[int, int, int, int]) -> array[int]:
    """Return a batch: oid, position, length and back pointer of each."""
    return array("Q", (word for each in found for word in (*each, 0, 0)))


# The table


keys = st.one_of(
    st.integers(0, 40),
    st.integers(0, 2**64 - 1),
    st.integers(0, 20).map(lambda number: number << 29 + 3),
)


@given(st.dictionaries(keys, st.integers(1, 2**60), max_size=80))
@settings(deadline=None)
def test_a_table_keeps_the_word_of_each_key(words: dict[int, int]) -> None:
    table = Table(8)
    for key, word in words.items():
        table.set(key, word)

    assert words_of(table) == words
    assert table.count == len(words)
    assert all(table.word(key) == word for key, word in words.items())
    assert all(table.word(key ^ 1) == words.get(key ^ 1, 0) for key in words)


def test_both_cores_keep_keys_in_the_same_slots(cores: Cores) -> None:
    """What one core wrote the other must find: the tests compare them by it."""
    dice = random.Random(7)
    words = {dice.randrange(2**64): dice.randrange(1, 2**60) for _ in range(500)}
    expected = Table(8)
    for key, word in words.items():
        expected.set(key, word)

    table = table_with(cores.mark, words)

    assert table.slots == expected.slots


def test_of_an_object_the_last_record_counts_in_any_order(cores: Cores) -> None:
    found = [(1, 100, 9, 0), (2, 200, 9, 0), (1, 300, 9, 0), (2, 150, 9, 0)]
    for order in (found, found[::-1]):
        table = table_with(cores.mark, {})
        table.note(records(*order), len(order))
        assert words_of(table) == {1: 300 << 4, 2: 200 << 4}


def test_an_undone_creation_is_flagged_until_the_object_is_there_again(cores: Cores) -> None:
    gone = cores.mark.GONE
    table = table_with(cores.mark, {})
    table.note(records((1, 100, 9, 0), (1, 200, 0, 0), (2, 300, 0, 100)), 3)
    assert words_of(table) == {1: 200 << 4 | gone, 2: 300 << 4}

    table.note(records((1, 400, 9, 0)), 1)
    assert table.word(1) == 400 << 4


def test_what_comes_after_the_pack_time_has_no_position(cores: Cores) -> None:
    after = cores.mark.AFTER
    table = table_with(cores.mark, {1: 100 << 4})
    table.note_after(records((1, 500, 9, 0), (2, 600, 9, 0)), 2)
    assert words_of(table) == {1: 100 << 4 | after, 2: after}
    assert table.count == 2


def test_only_real_back_pointers_have_targets(cores: Cores) -> None:
    table = table_with(cores.mark, {})
    table.note_targets(records((1, 500, 9, 0), (2, 600, 0, 100), (3, 700, 0, 100)), 3)
    assert words_of(table) == {100: cores.mark.REACHED}
    assert table.count == 1


@given(st.data())
@settings(deadline=None)
def test_of_two_tables_the_later_position_wins(data: Any) -> None:
    words = st.dictionaries(keys, st.integers(1, 2**56).map(lambda at: at << 4), max_size=40)
    one, other = data.draw(words), data.draw(words)
    expected = {key: max(one.get(key, 0), other.get(key, 0)) for key in {*one, *other}}
    table, taken = Table(8), Table(8)
    for words_in, into in ((one, table), (other, taken)):
        for key, word in words_in.items():
            into.set(key, word)

    table.take(taken)

    assert words_of(table) == expected
    assert table.count == len(expected)
    assert taken.count == 0


def test_taking_in_a_table_as_large_takes_no_longer_than_filling_it() -> None:
    """Slots in the order of hashes crowd the first ones of another table: 2.5 s, not 0.1."""
    count = 310_000  # of 2**19 slots

    def filled(first: int) -> Table:
        table = Table()
        for start in range(first, first + count, 10_000):
            batch = array("Q", bytes(48 * 10_000))
            batch[0::6] = array("Q", range(start, start + 10_000))
            batch[1::6] = array("Q", range(start + FIRST, start + FIRST + 10_000))
            batch[2::6] = array("Q", [9]) * 10_000
            table.note(batch, 10_000)
        return table

    start = time.process_time()
    table, other = filled(0), filled(count)
    to_fill_s = time.process_time() - start
    table.take(other)

    assert time.process_time() - start < 10 * to_fill_s
    assert table.count == 2 * count


# A scan


def said(found: Found) -> tuple[object, ...]:
    """Return what a scan found, to compare."""
    return (
        words_of(found.table),
        words_of(found.targets),
        found.pack_position,
        found.records,
        found.transactions,
        found.is_unpacked,
    )


def expected_of(path: Path, until: int = MAX_TID) -> tuple[object, ...]:
    """Return what a scan should find, from what ZODB reads."""
    table: dict[int, int] = {}
    targets: dict[int, int] = {}
    read = read_by_zodb(path)
    content = path.read_bytes()
    transactions, pack_position, is_unpacked = 0, len(content), False
    position = FIRST
    while position < len(content):
        if int.from_bytes(content[position : position + 8], "big") > until:
            pack_position = min(pack_position, position)
        else:
            is_unpacked |= content[position + 16 : position + 17] != b"p"
        transactions += 1
        position += int.from_bytes(content[position + 8 : position + 16], "big") + 8
    for record in read:
        if record.position < pack_position:
            is_gone = not record.length and not record.back
            table[record.oid] = record.position << 4 | is_gone
        elif record.back:
            targets[record.back] = 2
    return table, targets, pack_position, len(read), transactions, is_unpacked


@given(
    history=histories(packed=False),
    part=st.integers(1, 400),
    at=st.integers(0, 20),
)
@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_scan_finds_what_zodb_reads(history: Any, part: int, at: int, tmp_path: Path) -> None:
    with TemporaryDirectory(dir=fast_directory(tmp_path), prefix="zm-") as directory:
        writer = Writer(Path(directory, "Data.fs"))
        writer.write(history)
        writer.close()
        tids = sorted({read.owner for read in read_by_zodb(writer.path)})
        content = writer.path.read_bytes()
        start = tids[at % len(tids)]
        with open_source(writer.path) as source:
            for until in (MAX_TID, int.from_bytes(content[start : start + 8], "big"), 1):
                expected = expected_of(writer.path, until)
                assert said(scan(source, source.end, until=until)) == expected
                assert said(from_both_ends(source, until, part)) == expected


@contextmanager
def claims_of(size: int) -> Iterator[None]:
    """Let the two threads claim SIZE bytes at a time."""
    before, objects.CLAIM = objects.CLAIM, size
    try:
        yield
    finally:
        objects.CLAIM = before


def from_both_ends(source: Source, until: int, part: int) -> Found:
    """Scan with two threads that claim PART bytes at a time."""
    found = Found()
    with claims_of(part):
        for scanner in _from_both_ends(source, source.end, until, lambda done: None, Table):
            scanner.tell(found)
    return found


def test_an_empty_unpacked_transaction_makes_a_file_unpacked(tmp_path: Path) -> None:
    """The empty one may come in a batch of its own, in which there is no record."""
    content = file_of(
        Transaction(tid=1, status=b"p", records=(Record(oid=0, data=b"x" * 9),)),
        Transaction(tid=2),
        Transaction(tid=3, status=b"p", records=(Record(oid=0, data=b"x" * 9),)),
    )
    with source_of(content, tmp_path) as source:
        for until in (2, 3):
            for part in (10, 1000):
                assert from_both_ends(source, until, part).is_unpacked
                assert scan(source, source.end, until=until).is_unpacked
        assert not scan(source, source.end, until=1).is_unpacked


def test_damage_is_named_where_it_begins(tmp_path: Path) -> None:
    sound = commits((1, 2), (3, 4), (5, 6))
    for at in range(FIRST, len(sound)):
        damaged = bytearray(sound)
        damaged[at] ^= 0xFF
        with source_of(bytes(damaged), tmp_path) as source:
            try:
                one = said(scan(source, source.end))
            except CorruptFile as why:
                # a tid that is too high is known for one when the next comes
                assert why.offset <= at or why.reason == REASONS[12]
                one = None
            try:
                both = said(from_both_ends(source, MAX_TID, 50))
            except CorruptFile:
                both = None
            assert one == both


def test_a_large_file_that_is_damaged_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "TWO_THREADS_FROM", 0)
    content = bytearray(commits((1,), (2,), (3,)))
    second = len(commits((1,)))
    content[second + 16] = ord("x")
    with source_of(bytes(content), tmp_path) as source, pytest.raises(CorruptFile) as caught:
        scan(source, source.end)
    assert caught.value.offset == second


def test_progress_tells_how_many_bytes_are_done(tmp_path: Path) -> None:
    content = commits(*((number,) for number in range(1, 50)))
    told: list[int] = []
    with source_of(content, tmp_path) as source, claims_of(100):
        _from_both_ends(source, source.end, MAX_TID, told.append, Table)
        assert max(told) == source.end - FIRST
