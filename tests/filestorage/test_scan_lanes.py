"""The core that finds records in no order: the same ones, with the same doubts, as in order."""

from __future__ import annotations

import random
from array import array
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fs_bytes import MAGIC, Record, Transaction, commits, file_of, read_by_zodb
from histories import Writer, examples, fast_directory, histories
from hypothesis import given, settings
from hypothesis import strategies as st
from test_records import DAMAGED, backwards, forwards

from zmount.filestorage.cores import Cores, load
from zmount.filestorage.format import FIRST, MAX_TID

CORES = ("records", "lanes")
Found = tuple[list[tuple[int, ...]], "array[int]"]


def in_lanes(
    cores: Any,
    content: bytes,
    *,
    room: int = 1 << 12,
    tid: int | None = None,
    limit: int = 0,
    is_back: bool = False,
) -> Found:
    """Return all records that the lanes find, by position, and the cursor."""
    core = cores.lanes
    cursor = array("Q", bytes(8 * cores.records.CURSOR_FIELDS))
    cursor[0] = len(content) if is_back else FIRST
    bound = FIRST if is_back else len(content)
    tid = (0 if is_back else MAX_TID) if tid is None else tid
    batch = array("Q", bytes(48 * room))
    lanes = array("Q", bytes(8 * core.LANES * core.LANE_FIELDS))
    found: list[tuple[int, ...]] = []
    for _ in range(len(content) + 2):  # no endless loop
        count = core.scan(content, cursor, bound, tid, batch, lanes, limit, is_back)
        if not count:
            assert cursor[cores.records.ERROR] or not any(lanes[:: core.LANE_FIELDS])
            return sorted(found, key=lambda record: record[1]), cursor
        found += (tuple(batch[at : at + 6]) for at in range(0, 6 * count, 6))
    raise AssertionError("it does not end")


def both_ways(cores: Any, content: bytes, **how: Any) -> list[tuple[Found, Found]]:
    """Return what is found in order and in lanes, forwards and backwards."""
    in_order = forwards(cores.records, content), backwards(cores.records, content)
    return [
        (in_order[0], in_lanes(cores, content, **how)),
        (in_order[1], in_lanes(cores, content, is_back=True, **how)),
    ]


@given(history=histories(packed=False), room=st.sampled_from((8, 9, 13, 4096)))
@settings(max_examples=examples(25), deadline=None)
def test_every_record_is_found_as_zodb_finds_it(history: Any, room: int) -> None:
    with TemporaryDirectory(dir=fast_directory(Path()), prefix="zm-") as directory:
        writer = Writer(Path(directory, "Data.fs"))
        writer.write(history)
        writer.close()
        expected = [read.words for read in read_by_zodb(writer.path)]
        content = writer.path.read_bytes()
    for name in ("plain", "compiled"):
        cores = load(name, *CORES)
        for in_order, (found, cursor) in both_ways(cores, content, room=room):
            assert found == expected
            assert cursor == in_order[1]


def many(seed: int) -> bytes:
    """Return a file of transactions with none to 40 records, some of them undone or empty."""
    dice = random.Random(seed)
    return file_of(
        *(
            Transaction(
                tid=tid,
                status=dice.choice([b" "] * 8 + [b"p", b"u"]),
                records=tuple(
                    Record(oid=dice.randrange(99), data=b"z" * dice.randrange(1, 30))
                    for _ in range(dice.choice((0, 1, 1, 2, 3, 3, 8, 40)))
                ),
            )
            for tid in range(1, dice.randrange(2, 40))
        )
    )


@pytest.mark.parametrize("seed", range(12))
def test_transactions_of_any_length_share_the_lanes(cores: Cores, seed: int) -> None:
    content = many(seed)
    for room in (8, 50, 4096):
        for (ordered, in_order), (found, cursor) in both_ways(cores, content, room=room):
            assert found == sorted(ordered, key=lambda record: record[1])
            assert cursor == in_order


def test_a_limit_divides_the_file_between_two_scans(cores: Cores) -> None:
    content = many(1)
    everything, _ = forwards(cores.records, content)
    for limit in range(FIRST, len(content) + 1, 7):
        low, below = in_lanes(cores, content, limit=limit)
        high, above = in_lanes(cores, content, limit=limit, is_back=True)
        assert low + high == everything
        assert below[0] == above[0]


def test_a_tid_is_where_it_stops(cores: Cores) -> None:
    content = commits(*((number, 50 + number) for number in range(1, 30)))
    for tid in (0, 1, 13, 29, 40):
        until, _ = in_lanes(cores, content, tid=tid)
        after, _ = in_lanes(cores, content, tid=tid, is_back=True)
        assert until + after == forwards(cores.records, content)[0]
        assert len(until) == 2 * min(tid, 29)


@pytest.mark.parametrize("what", DAMAGED)
def test_damage_is_met_as_in_order(cores: Cores, what: str) -> None:
    content, _, _ = DAMAGED[what]
    for (_, in_order), (_, cursor) in both_ways(cores, content):
        assert bool(cursor[6]) == bool(in_order[6])


def test_too_little_room_is_refused(cores: Cores) -> None:
    core = cores.lanes
    cursor = array("Q", [FIRST, *bytes(8)])
    lanes, batch = array("Q", bytes(8 * 24)), array("Q", bytes(48 * 8))
    with pytest.raises(ValueError, match="too few"):
        core.scan(MAGIC, cursor, 4, MAX_TID, batch[:-6], lanes)
    with pytest.raises(ValueError, match="too few"):
        core.scan(MAGIC, cursor, 4, MAX_TID, batch, lanes[:-1])
    with pytest.raises(ValueError, match="beyond the 4 bytes"):
        core.scan(MAGIC, cursor, 5, MAX_TID, batch, lanes)
    cursor[0] = 5
    with pytest.raises(ValueError, match="beyond the 4 bytes"):
        core.scan(MAGIC, cursor, 4, 0, batch, lanes, 0, True)


@given(
    seed=st.integers(0, 50),
    flips=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 300),
    room=st.sampled_from((8, 9, 30)),
)
@settings(deadline=None, max_examples=examples(150))
def test_of_damaged_files_both_cores_say_the_same(
    seed: int, flips: list[tuple[int, int]], cut: int, room: int
) -> None:
    content = bytearray(many(seed))
    for at, value in flips:
        content[4 + at % (len(content) - 4)] = value
    damaged = bytes(content[: max(4, len(content) - cut)])
    plain, compiled = (load(name, *CORES) for name in ("plain", "compiled"))
    for is_back in (False, True):
        found = in_lanes(compiled, damaged, room=room, is_back=is_back)
        assert found == in_lanes(plain, damaged, room=room, is_back=is_back)
        in_order = (backwards if is_back else forwards)(compiled.records, damaged)
        assert bool(found[1][6]) == bool(in_order[1][6])


@given(noise=st.binary(max_size=300))
@settings(deadline=None, max_examples=examples(100))
def test_of_any_bytes_both_cores_say_the_same(noise: bytes) -> None:
    plain, compiled = (load(name, *CORES) for name in ("plain", "compiled"))
    for is_back in (False, True):
        found = in_lanes(compiled, MAGIC + noise, is_back=is_back)
        assert found == in_lanes(plain, MAGIC + noise, is_back=is_back)
