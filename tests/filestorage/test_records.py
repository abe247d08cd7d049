"""The core that finds a FileStorage's records, compiled and plain, forwards and backwards."""

from __future__ import annotations

import random
from array import array
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fs_bytes import MAGIC, Record, Transaction, commits, file_of, read_by_zodb
from histories import Writer, examples, fast_directory, histories
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zmount.filestorage.cores import Cores, load
from zmount.filestorage.format import FIRST, MAX_TID, REASONS

CORES = ("records",)
ALL = 1 << 14


def forwards(
    core: Any, content: bytes, *, room: int = ALL, until: int = MAX_TID, limit: int = 0
) -> tuple[list[tuple[int, ...]], array[int]]:
    """Return all records of CONTENT, found ROOM at a time, and the cursor."""
    return _all(core, content, room, FIRST, ("scan", len(content), until, limit))


def backwards(
    core: Any, content: bytes, *, room: int = ALL, after: int = 0, limit: int = 0
) -> tuple[list[tuple[int, ...]], array[int]]:
    """Return all records of CONTENT, the last transaction first, and the cursor."""
    return _all(core, content, room, len(content), ("scan_back", FIRST, after, limit))


def _all(
    core: Any, content: bytes, room: int, position: int, how: tuple[str, int, int, int]
) -> tuple[list[tuple[int, ...]], array[int]]:
    name, *bounds, limit = how
    cursor = array("Q", bytes(8 * core.CURSOR_FIELDS))
    cursor[core.POSITION] = position
    batch = array("Q", bytes(8 * core.RECORD_FIELDS * room))
    found: list[tuple[int, ...]] = []
    for _ in range(len(content) + 2):  # no endless loop
        count = getattr(core, name)(content, cursor, *bounds, batch, limit)
        if not count:
            return found, cursor
        fields = core.RECORD_FIELDS
        found += (tuple(batch[at : at + fields]) for at in range(0, fields * count, fields))
    raise AssertionError("it does not end")


@given(history=histories(packed=False), room=st.integers(1, 9))
@settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_every_record_is_found_as_zodb_finds_it(history: Any, room: int, tmp_path: Path) -> None:
    with TemporaryDirectory(dir=fast_directory(tmp_path), prefix="zm-") as directory:
        writer = Writer(Path(directory, "Data.fs"))
        writer.write(history)
        writer.close()
        expected = [read.words for read in read_by_zodb(writer.path)]
        content = writer.path.read_bytes()
    for name in ("plain", "compiled"):
        core = load(name, *CORES).records
        for size in (room, ALL):
            found, cursor = forwards(core, content, room=size)
            assert found == expected
            assert not cursor[core.ERROR]
            assert cursor[core.POSITION] == len(content)
            found, cursor = backwards(core, content, room=size)
            assert sorted(found, key=lambda each: each[1]) == expected
            assert not cursor[core.ERROR]
            assert cursor[core.POSITION] == FIRST


def test_backwards_the_last_transaction_comes_first(cores: Cores) -> None:
    content = commits((1, 2), (3,), (4, 5))

    found, _ = backwards(cores.records, content)

    assert [record[0] for record in found] == [4, 5, 3, 1, 2]


def test_a_batch_may_end_within_a_transaction(cores: Cores) -> None:
    content = commits((1, 2, 3), (4, 5))

    for scanned in (forwards, backwards):
        found, _ = scanned(cores.records, content, room=2)
        assert sorted(record[0] for record in found) == [1, 2, 3, 4, 5]


def test_it_stops_before_what_is_later(cores: Cores) -> None:
    content = commits((1,), (2,), (3,))

    found, cursor = forwards(cores.records, content, until=2)

    assert [record[0] for record in found] == [1, 2]
    assert not cursor[cores.records.ERROR]


def test_backwards_it_stops_before_what_is_not_later(cores: Cores) -> None:
    content = commits((1,), (2,), (3,))

    found, cursor = backwards(cores.records, content, after=2)

    assert [record[0] for record in found] == [3]
    assert not cursor[cores.records.ERROR]


def test_a_limit_divides_the_file_between_two_scans(cores: Cores) -> None:
    content = commits(*((number, number + 100) for number in range(1, 9)))
    everything = {record[0] for record in forwards(cores.records, content)[0]}
    for limit in range(FIRST, len(content) + 1):
        low, below = forwards(cores.records, content, limit=limit)
        high, above = backwards(cores.records, content, limit=limit)
        assert {record[0] for record in low} | {record[0] for record in high} == everything
        assert len(low) + len(high) == len(everything)
        position = cores.records.POSITION
        assert below[position] == above[position]


def test_empty_transactions_have_no_records(cores: Cores) -> None:
    content = file_of(
        Transaction(tid=1),
        Transaction(tid=2, records=(Record(oid=1, data=b"x" * 9),)),
        Transaction(tid=3, user=b"u", description=b"d" * 300, extension=b"e"),
    )
    for scanned in (forwards, backwards):
        found, cursor = scanned(cores.records, content)
        assert [record[0] for record in found] == [1]
        assert cursor[cores.records.TRANSACTIONS] == 3
        assert cursor[cores.records.RECORDS] == 1


def test_what_was_undone_the_old_way_is_not_seen(cores: Cores) -> None:
    content = file_of(
        Transaction(tid=1, records=(Record(oid=1, data=b"x" * 9),)),
        Transaction(tid=2, status=b"u", records=(Record(oid=1, data=b"y" * 9),)),
        Transaction(tid=3, records=(Record(oid=2, data=b"z" * 9),)),
    )
    for scanned in (forwards, backwards):
        found, cursor = scanned(cores.records, content)
        assert sorted(record[0] for record in found) == [1, 2]
        assert not cursor[cores.records.ERROR]


@pytest.mark.parametrize("size", range(1, 9))
def test_a_record_may_be_shorter_than_a_back_pointer(cores: Cores, size: int) -> None:
    content = commits((1, 2), data=b"x" * size)
    for scanned in (forwards, backwards):
        found, cursor = scanned(cores.records, content)
        assert [record[2] for record in found] == [size, size]
        assert not cursor[cores.records.ERROR]


def test_back_pointers_and_undone_creations_are_told(cores: Cores) -> None:
    content = file_of(
        Transaction(tid=1, records=(Record(oid=7, data=b"x" * 9),)),
        Transaction(tid=2, records=(Record(oid=7, back=27, previous=27), Record(oid=8))),
    )

    found, _ = forwards(cores.records, content)

    assert [record[2:5] for record in found] == [(9, 0, 0), (0, 27, 27), (0, 0, 0)]


def test_packed_transactions_are_told_from_others(cores: Cores) -> None:
    packed = Transaction(tid=1, status=b"p")
    written = Transaction(tid=2)
    for transactions, is_unpacked in (((packed,), 0), ((packed, written), 1)):
        for scanned in (forwards, backwards):
            _, cursor = scanned(cores.records, file_of(*transactions))
            assert cursor[cores.records.IS_UNPACKED] == is_unpacked


GOOD = Transaction(tid=1, records=(Record(oid=1, data=b"x" * 20),))


def bad(**changes: object) -> bytes:
    """Return a file whose second transaction's record has these CHANGES."""
    record = Record(oid=2, data=b"y" * 20, **changes)  # type: ignore[arg-type]
    return file_of(GOOD, Transaction(tid=2, records=(record,)))


START = len(file_of(GOOD))
DAMAGED = {
    # what: the file, the reason, where; forwards
    "a header that is cut short": (file_of(GOOD) + bytes(30), 1, START),
    "a length beyond the end": (file_of(GOOD, Transaction(tid=2, length=9999)), 2, START),
    "a length of all ones": (file_of(GOOD, Transaction(tid=2, length=2**64 - 1)), 2, START),
    "a length of nothing": (file_of(GOOD, Transaction(tid=2, length=0)), 3, START),
    "no such status": (file_of(GOOD, Transaction(tid=2, status=b"x")), 4, START),
    "a vote": (file_of(GOOD, Transaction(tid=2, status=b"c")), 4, START),
    "two lengths": (file_of(GOOD, Transaction(tid=2, length_at_end=99)), 5, START),
    "a record cut short": (
        file_of(GOOD, Transaction(tid=2, extension=b"", length=23 + 41, records=(Record(oid=2),)))[
            : START + 23 + 41
        ]
        + (23 + 41).to_bytes(8, "big"),
        6,
        START + 23,
    ),
    "a back pointer cut short": (
        file_of(GOOD, Transaction(tid=2, records=(Record(oid=2),), length=23 + 45))[
            : START + 23 + 45
        ]
        + (23 + 45).to_bytes(8, "big"),
        7,
        START + 23,
    ),
    "pickles beyond the transaction": (bad(length=21), 7, START + 23),
    "pickles of all ones": (bad(length=2**64 - 1), 7, START + 23),
    "another transaction's record": (bad(owner=4), 8, START + 23),
    "a version": (bad(version=1), 9, START + 23),
    "a previous record after it": (bad(previous=START + 23), 10, START + 23),
    "a back pointer to itself": (
        file_of(GOOD, Transaction(tid=2, records=(Record(oid=2, back=START + 23),))),
        11,
        START + 23,
    ),
    "a tid twice": (file_of(GOOD, Transaction(tid=1)), 12, START),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_damage_has_its_reason_and_place(cores: Cores, what: str) -> None:
    content, reason, place = DAMAGED[what]

    _, cursor = forwards(cores.records, content)

    error = cursor[cores.records.ERROR]
    assert REASONS[error] == REASONS[reason]
    assert cursor[cores.records.ERROR_AT] == place


@pytest.mark.parametrize("what", DAMAGED)
def test_backwards_damage_is_found_or_the_start_is_not_reached(cores: Cores, what: str) -> None:
    content, _, _ = DAMAGED[what]

    _, cursor = backwards(cores.records, content)

    assert cursor[cores.records.ERROR] or cursor[cores.records.POSITION] != FIRST


def test_after_an_error_a_cursor_stays(cores: Cores) -> None:
    content, _, _ = DAMAGED["no such status"]
    core = cores.records
    _, cursor = forwards(core, content)
    batch = array("Q", bytes(8 * core.RECORD_FIELDS))

    assert core.scan(content, cursor, len(content), MAX_TID, batch) == 0


def test_an_end_beyond_the_bytes_is_refused(cores: Cores) -> None:
    core = cores.records
    cursor = array("Q", bytes(8 * core.CURSOR_FIELDS))
    batch = array("Q", bytes(8 * core.RECORD_FIELDS))
    cursor[core.POSITION] = FIRST
    with pytest.raises(ValueError, match="beyond the 4 bytes"):
        core.scan(MAGIC, cursor, 5, MAX_TID, batch)
    cursor[core.POSITION] = 5
    with pytest.raises(ValueError, match="beyond the 4 bytes"):
        core.scan_back(MAGIC, cursor, FIRST, 0, batch)


def _sound(seed: int) -> bytes:
    dice = random.Random(seed)
    return commits(
        *([dice.randrange(9) for _ in range(dice.randrange(4))] for _ in range(6)),
        data=b"z" * dice.randrange(1, 30),
    )


@given(
    seed=st.integers(0, 50),
    flips=st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 2**16),
    room=st.integers(1, 8),
)
@settings(deadline=None, max_examples=examples(300))
def test_of_damaged_files_both_cores_say_the_same(
    seed: int, flips: list[tuple[int, int]], cut: int, room: int
) -> None:
    content = bytearray(_sound(seed))
    for at, value in flips:
        content[4 + at % (len(content) - 4)] = value
    damaged = bytes(content[: 4 + cut % len(content)])
    compiled, plain = (load(name, *CORES).records for name in ("compiled", "plain"))
    for scanned in (forwards, backwards):
        assert scanned(compiled, damaged, room=room) == scanned(plain, damaged, room=room)


@given(noise=st.binary(max_size=300))
@settings(deadline=None, max_examples=examples(200))
def test_of_any_bytes_both_cores_say_the_same(noise: bytes) -> None:
    compiled, plain = (load(name, *CORES).records for name in ("compiled", "plain"))
    for scanned in (forwards, backwards):
        assert scanned(compiled, MAGIC + noise) == scanned(plain, MAGIC + noise)
