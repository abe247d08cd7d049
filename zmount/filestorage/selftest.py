"""A known question to each core, asked before it touches anybody's data.

A library built by a broken compiler, for another processor or with a patch too
many may load and yet answer wrongly. Each self-test is a few records with their
known results; together they take less than a millisecond.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable
from types import ModuleType

from zmount.filestorage.table_hash import MULTIPLIER

# what a core that is not the one we know can raise
WRONG = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
)


def wrong_answer(core: str, module: ModuleType) -> str:
    """Return what is wrong with CORE as loaded in MODULE; empty: nothing."""
    try:
        SELF_TESTS[core](module)
    except WRONG as error:
        return f"{type(error).__name__}: {error}"
    return ""


def _record(pickles: bytes, back: int = 0) -> bytes:
    """A data record of which only the end of the header counts."""
    return bytes(34) + len(pickles).to_bytes(8, "big") + (pickles or back.to_bytes(8, "big"))


def _ask_references(core: ModuleType) -> None:
    """References of each form, a back pointer, an undone creation, an unknown protocol."""
    oid = b"\x01\x02\x03\x04\x05\x06\x07"
    new = b"\x80\x03ca\nB\nq\x00.\x80\x03}q\x01X\x01\x00\x00\x00kC\x08%b\x01h\x00\x86Qs."
    old = (
        b"(ca\nB\nNtq\x01.}q\x02(K\x01(U\x08%b\x02q\x03h\x01tQU\x01wK\x02K\x02"
        b"]q\x04(U\x01w(h\x03tq\x05eQ]q\x06(U\x01m(U\x01dh\x03h\x01tq\x07eQh\x03Qu."
    )
    pieces = [b"FS30", _record(new % oid), _record(old % oid)]
    pieces += [_record(b"", back=4), _record(b""), _record(b"\x80\x04N.N.")]
    source = b"".join(pieces)
    positions = array("Q", (sum(map(len, pieces[:number])) for number in range(1, len(pieces))))
    oids, memory = array("Q", bytes(80)), array("Q", bytes(8 * 64))
    ends, unknown, foreign = (array("Q", bytes(40)) for _ in range(3))
    for first, expected in ((0, (5, 1, 1)), (1, (5, 1, 1)), (3, (5, 1, 0))):
        told = core.walk(source, positions, first, 5, oids, ends, unknown, foreign, memory)
        assert told == expected, f"{told} from {first}"
        if first == 0:
            number = int.from_bytes(oid, "big") << 8
            assert oids[:4] == array("Q", [number + 1, number + 2, number + 2, number + 1])
            assert ends.tolist() == [1, 3, 4, 4, 4]
            assert (unknown[0], foreign[0]) == (4, 1)


def _numbers(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(8, "big") for number in numbers)


def _packed_transaction(tid: int, status: bytes, *records: bytes) -> bytes:
    body = b"".join(records)
    length = _numbers(23 + len(body))
    return _numbers(tid) + length + status + bytes(6) + body + length


def _data_record(ids: bytes, previous: int, transaction: int, pickles: bytes, back: int) -> bytes:
    ending = pickles or _numbers(back)
    return ids + _numbers(previous, transaction) + bytes(2) + _numbers(len(pickles)) + ending


def _ask_copy(core: ModuleType) -> None:
    """A record kept for an undo, a dropped one, and what is later than the pack time."""
    kept, gone = _numbers(0, 1), _numbers(1, 1)
    # positions: 4 and 27 + 42 + 2 in the source and the output
    first = (_data_record(kept, 0, 4, b"aa", 0), _data_record(gone, 0, 4, b"bb", 0))
    second_at, packed_at = 4 + 23 + 44 + 44 + 8, 4 + 23 + 44 + 8
    source = b"FS30" + _packed_transaction(1, b" ", *first)
    later = (_numbers(0, 2), _numbers(1, 2))
    source += _packed_transaction(
        2,
        b" ",
        _data_record(later[0], 27, second_at, b"", 27),
        _data_record(later[1], 71, second_at, b"cc", 0),
    )
    expected = _packed_transaction(1, b"p", first[0]) + _packed_transaction(
        2,
        b" ",
        _data_record(later[0], 27, packed_at, b"", 27),
        _data_record(later[1], 0, packed_at, b"cc", 0),
    )
    table, targets = array("Q", bytes(16 * 16)), array("Q", bytes(16 * 16))
    for oid, word in ((0, 27 << 4 | 6), (1, 71 << 4 | 4)):
        table[2 * oid : 2 * oid + 2] = array("Q", (oid, word))
    slot = 2 * (((27 >> 3) * MULTIPLIER % 2**64 >> 63) << 3 | 27 & 7)  # of two eights
    targets[slot : slot + 2] = array("Q", (27, 2))
    cursor, out = array("Q", bytes(8 * core.CURSOR_FIELDS)), bytearray(core.LONGEST_PIECE)
    cursor[core.POSITION] = cursor[core.WRITTEN] = 4
    filled = core.copy(source, cursor, len(source), second_at, table, targets, out, array("Q"))
    assert out[:filled] == expected, "the output is another"
    assert (cursor[core.KEPT], cursor[core.DROPPED], cursor[core.LOST]) == (3, 1, 0)
    assert [word >> 4 for word in table[1:4:2]] == [packed_at + 23, packed_at + 23 + 50]


def _ask_records(core: ModuleType) -> None:
    """Two transactions, forwards and backwards, and one whose lengths differ."""
    second_at = 4 + 23 + 44 + 50 + 8
    source = b"FS30" + _packed_transaction(
        1,
        b" ",
        _data_record(_numbers(0, 1), 0, 4, b"aa", 0),
        _data_record(_numbers(258, 1), 0, 4, b"", 0),
    )
    source += _packed_transaction(2, b"p", _data_record(_numbers(0, 2), 27, second_at, b"", 27))
    first = [0, 27, 2, 0, 0, 4, 258, 71, 0, 0, 0, 4]
    second = [0, second_at + 23, 0, 27, 27, second_at]
    assert len(first + second) == 3 * core.RECORD_FIELDS
    cursor, records = array("Q", bytes(8 * core.CURSOR_FIELDS)), array("Q", bytes(8 * 24))
    cursor[core.POSITION] = 4
    assert core.scan(source, cursor, len(source), 2, records) == 3
    assert records[:18].tolist() == first + second, "the records are others"
    assert cursor.tolist() == [len(source), 0, len(source) - 8, 2, 2, 3, 0, 0, 1]
    cursor = array("Q", [len(source), *bytes(core.CURSOR_FIELDS - 1)])
    assert core.scan_back(source, cursor, 4, 0, records) == 3
    assert records[:18].tolist() == second + first, "the records are others backwards"
    cursor = array("Q", [4, *bytes(core.CURSOR_FIELDS - 1)])
    assert core.scan(source[:-1] + b"!", cursor, len(source), 2, records) == 2
    assert (cursor[core.ERROR], cursor[core.ERROR_AT]) == (5, second_at)


def _ask_mark(core: ModuleType) -> None:
    """Three objects, one of them undone; what is reached; another table."""
    table, todo, missing = array("Q", bytes(2 * 8 * 16)), array("Q", bytes(32)), array("Q", [9] * 4)
    records = array("Q", [513, 27, 2, 0, 0, 4, 7, 71, 0, 0, 0, 4, 513, 130, 2, 0, 27, 107])
    records.extend([1 << 63, 200, 2, 0, 0, 107])
    assert core.note(table, records, 4) == 3
    words = [core.word_of(table, oid) for oid in (513, 7, 1 << 63, 8)]
    assert words == [130 << 4, 71 << 4 | core.GONE, 200 << 4, 0], f"{words}"
    oids = array("Q", [7, 513, 8, 513])
    assert core.reach(table, oids, 4, todo, 0, missing) == (1, 2)
    assert (todo[0], missing[:2].tolist()) == (130, [0, 2])
    pairs = array("Q", bytes(48))
    assert core.pairs_of(table, 0, pairs) == 3
    assert sorted(pairs) == [7, 71, 130, 200, 513, 1 << 63]
    other = array("Q", bytes(16 * 32))
    assert core.merge(table, other, 0, 16, 3) == 3
    assert core.word_of(other, 513) == 130 << 4 | core.REACHED


def _ask_check(core: ModuleType) -> None:
    """A blob, a wrong previous record, a wrong back pointer, a wrong tid; a dangling oid."""
    blob = b"\x80\x03cZODB.blob\nBlob\nq\0.N."
    second_at = 4 + 23 + 42 + len(blob) + 8
    first = _data_record(_numbers(0, 1), 0, 4, blob, 0)
    second = (
        _data_record(_numbers(0, 2), 0, second_at, b"", 27),
        _data_record(_numbers(1, 3), 0, second_at, b"", 28),
    )
    source = b"FS30" + _packed_transaction(1, b" ", first)
    source += _packed_transaction(2, b" ", *second)
    places = [27, second_at + 23, second_at + 73]
    records = array("Q", [0, 27, len(blob), 0, 0, 4, 0, places[1], 0, 27, 0, second_at])
    records.extend([1, places[2], 0, 28, 0, second_at])
    table, parents = array("Q", bytes(8 * 16)), array("Q", bytes(8 * 16))
    out, other = array("Q", bytes(32)), array("Q", bytes(32))
    assert core.note(source, table, records, 3, out) == (2, 2)
    doubts = [1 << 4 | core.PREVIOUS, 2 << 4 | core.BACK | core.TID]
    assert out[:2].tolist() == doubts, f"{out[:2]}"
    assert core.blobs(source, records, 3, out) == 2
    assert out[:2].tolist() == [core.BLOB, 1 << 4 | core.BLOB]
    assert core.divide(table, records, 3, out, other) == (2, 1)
    assert (out[:2].tolist(), other[0]) == (places[1:], 27)
    oids = array("Q", [1, 7, 0])
    assert (core.dangling(table, oids, 3, other), other[0]) == (1, 1)
    told = core.adopt(table, parents, array("Q", places), oids, array("Q", [0, 2, 3]), 0, 3, other)
    assert (told, other[:2].tolist()) == ((2, 3), [places[2], places[1]])
    bucket = b"\0\0\0\1" + _numbers(places[1])[2:] + _numbers(places[2])[2:]
    wrong = bucket[:-1] + b"!"
    assert [core.differing(table, 0, each) for each in (bucket, wrong)] == [2, 1]


def _ask_index(core: ModuleType) -> None:
    """Three objects, sorted and as an index has them; and from places."""
    pairs, scratch, counts = array("Q", [513, 130, 1 << 63, 200, 7, 71]), array("Q"), array("Q")
    scratch.frombytes(bytes(48))
    counts.frombytes(bytes(2048))
    for digit in range(8):
        if core.sort_pass(pairs, scratch, counts, digit):
            pairs, scratch = scratch, pairs
    assert pairs.tolist() == [7, 71, 513, 130, 1 << 63, 200], "the order is another"
    assert core.same_prefix(pairs, 0) == 2
    out, expected = bytearray(16), b"\0\7\2\1" + _numbers(71)[2:] + _numbers(130)[2:]
    core.bucket(pairs, 0, 2, out)
    assert out == expected
    assert core.bucket_facts(out, 100) == (True, 130, 1)
    records = array("Q", [513, 99, 2, 0, 0, 4, 9999, 71, 2, 0, 0, 4, 513, 130, 2, 0, 0, 4])
    places, more = array("Q", bytes(8 * 600)), array("Q", bytes(8 * 600))
    assert core.note_places(places, records, 3) == (1, 1)
    assert records[0] == 9999
    core.move_to_places(array("Q", [7, 71 << 4, 0, 0, 9999, 1 << 4, 513, 88 << 4]), places)
    assert core.merge_places(places, more) == 2
    assert core.bucket_of_places(more, 0, out) == 2
    assert out == expected, "the bucket is another"


def _ask_lanes(core: ModuleType) -> None:
    """Nine transactions of one to three records, forwards and backwards; one that is damaged."""
    source, expected = b"FS30", set()
    for tid in range(1, 10):
        at = len(source)
        places = [at + 23 + 44 * number for number in range(1 + tid % 3)]
        records = (_data_record(_numbers(place, tid), 0, at, b"aa", 0) for place in places)
        source += _packed_transaction(tid, b" ", *records)
        expected |= {(place, place, 2, 0, 0, at) for place in places}
    found = array("Q", bytes(8 * 6 * 32))
    for backwards, start, bound, tid in ((False, 4, len(source), 9), (True, len(source), 4, 0)):
        cursor, lanes = array("Q", [start, *bytes(8)]), array("Q", bytes(8 * 24))
        count = core.scan(source, cursor, bound, tid, found, lanes, 0, backwards)
        told = {tuple(found[at : at + 6]) for at in range(0, 6 * count, 6)}
        assert told == expected, "the records are others"
        assert cursor.tolist()[:7] == [bound, 0, cursor[2], cursor[3], 9, count, 0]
        assert core.scan(source, cursor, bound, tid, found, lanes, 0, backwards) == 0
    cursor, lanes = array("Q", [4, *bytes(8)]), array("Q", bytes(8 * 24))
    core.scan(source[:-1] + b"!", cursor, len(source), 9, found, lanes)
    assert cursor[core.ERROR] == 5


# name of the core: a function that asks it and raises AssertionError at a wrong answer
SELF_TESTS: dict[str, Callable[[ModuleType], None]] = {
    "records": _ask_records,
    "mark": _ask_mark,
    "references": _ask_references,
    "copy": _ask_copy,
    "check": _ask_check,
    "index": _ask_index,
    "lanes": _ask_lanes,
}
