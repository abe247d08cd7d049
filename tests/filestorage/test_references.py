"""References are found as ZODB's referencesf finds them, or handed to it."""

from __future__ import annotations

import os
import tarfile
import zlib
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from persistent.mapping import PersistentMapping
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage
from ZODB.utils import p64, u64, z64
from zodbpickle import binary
from zodbpickle.slowpickle import Pickler

from zmount.errors import UnreadableRecord
from zmount.filestorage.cores import VARIABLE, Cores, load
from zmount.filestorage.format import words
from zmount.filestorage.pickles import REFUSED, check_pickles, depth_of_tuples, safe_referencesf
from zmount.filestorage.references import References
from zmount.filestorage.source import Source, batches, new_cursor, open_source

CORES = ("records", "references")
PLONE = Path(__file__).parents[1] / "data/plone-small.tar.xz"
UNKNOWN = "unknown"
OID = p64(0x0102030405060708)
HIGH = b"\xf1\xf2\xf3\xf4\xf5\xf6\xf7\xf8"  # no ASCII: no string of Python 2 for referencesf


class Held:
    """Stands for a persistent object: PID is what is pickled for it, a list anew each time."""

    def __init__(self, pid: object) -> None:
        self._pid = pid

    @property
    def pid(self) -> object:
        return list(self._pid) if isinstance(self._pid, list) else self._pid


class Python2(Pickler):
    """Pickles oids as Python 2 did and FileStorages still hold them: as strings."""

    dispatch = dict(Pickler.dispatch)

    def save_binary(self, thing: binary) -> None:
        size = len(thing)
        prefix = b"U" + bytes([size]) if size < 256 else b"T" + size.to_bytes(4, "little")
        self.write(prefix + thing)
        self.memoize(thing)

    dispatch[binary] = save_binary


def pickled(state: object, *, protocol: int = 3, first: object = PersistentMapping) -> bytes:
    """Return a record as ZODB's ObjectWriter makes it, with one memo for both pickles."""
    stream = BytesIO()
    pickler = (Pickler if protocol == 3 else Python2)(stream, protocol)
    pickler.persistent_id = lambda thing: thing.pid if isinstance(thing, Held) else None
    pickler.dump(first)
    pickler.dump(state)
    return stream.getvalue()


def header(size: int) -> bytes:
    """Return a data record's header, of which the walk reads the length only."""
    return bytes(34) + p64(size)


def walked(
    core: ModuleType, records: Sequence[bytes], *, memory: int = 3 * 4096 + 1
) -> list[tuple[list[int] | str, bool]]:
    """Return for each of RECORDS its references or UNKNOWN, and whether it has foreign ones."""
    source = b"FS30" + b"".join(header(len(record)) + record for record in records)
    positions, at = array("Q"), 4
    for record in records:
        positions.append(at)
        at += 42 + len(record)
    count = len(records)
    oids, room = words(len(source) // 3), words(memory)
    ends, unknown, foreign = (words(count) for _ in range(3))
    told = core.walk(source, positions, 0, count, oids, ends, unknown, foreign, room)
    assert told[0] == count
    strange, others = unknown[: told[1]].tolist(), foreign[: told[2]].tolist()
    found: list[tuple[list[int] | str, bool]] = []
    for number in range(count):
        start = ends[number - 1] if number else 0
        mine = oids[start : ends[number]].tolist()
        assert number not in strange or not mine
        found.append((UNKNOWN if number in strange else mine, number in others))
    return found


def asked(record: bytes) -> list[int] | None:
    """Return what referencesf says; None where it refuses."""
    try:
        return [u64(oid) if len(oid) == 8 else -1 for oid in safe_referencesf(record)]
    except REFUSED:
        return None


@cache
def core(name: str) -> ModuleType:
    """Return the plain or the compiled core, for a test that runs it often."""
    return load(name, *CORES).references


def both(record: bytes) -> list[int] | str:
    """Return what the plain core says, once the compiled one has said the same."""
    answers = [walked(core(name), [record]) for name in RUNNING]
    assert answers[0] == answers[-1]
    return answers[0][0][0]


def agrees(record: bytes) -> None:
    """Check that the cores say what referencesf says, if it and they know the record at all."""
    ours, theirs = both(record), asked(record)
    if theirs is not None and ours != UNKNOWN:
        assert ours == theirs


# ZMOUNT_CORE=plain admits that nothing is compiled
RUNNING = ("plain",) if os.environ.get(VARIABLE) == "plain" else ("plain", "compiled")
FORMS = {
    "oid": (OID, [u64(OID)], False),
    "oid and class": ((OID, PersistentMapping), [u64(OID)], False),
    "oid and class's arguments": ((OID, (PersistentMapping, 1, 2)), [u64(OID)], False),
    "weak": (["w", (OID,)], [], False),
    "weak, of another database": (["w", (OID, "other")], [], False),
    "weak, as it once was": ([OID], [], False),
    "other database": (["m", ("other", OID, PersistentMapping)], [], True),
    "other database, no class": (["n", ("other", OID)], [], True),
}


@pytest.mark.parametrize("protocol", [1, 2, 3])
@pytest.mark.parametrize("form", FORMS)
def test_each_form_of_a_persistent_id_is_known(cores: Cores, form: str, protocol: int) -> None:
    pid, oids, is_foreign = FORMS[form]
    record = pickled(_binary([Held(pid), Held(pid), 1]), protocol=protocol)

    assert walked(cores.references, [record]) == [(oids * 2, is_foreign)]
    assert asked(record) == oids * 2


def _binary(thing: Any) -> Any:
    """Let oids be of the type that ZODB gives them."""
    match thing:
        case Held():
            return Held(_binary(thing.pid))
        case bytes():
            return binary(thing)
        case list() | tuple():
            return type(thing)(map(_binary, thing))
    return thing


def test_an_oid_of_python_2_is_known_though_it_is_no_ascii(cores: Cores) -> None:
    record = pickled(Held(binary(HIGH)), protocol=1)

    assert asked(record) is None
    assert walked(cores.references, [record]) == [([u64(HIGH)], False)]


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"N.",
        b"..",
        b"N.N",
        b"N.N.N",  # more than two pickles
        b"\x80\x04N.N.",  # a protocol that ZODB does not write
        b"\x80\x03N.\x95\x02\0\0\0\0\0\0\0N.",
        b"N.PABCDEFGH\n.",  # an id in text
        b"N.S'ABCDEFGH'\nQ.",
        b"N.U\x07ABCDEFGQ.",  # not 8 bytes
        b"N.X\x08\0\0\0\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4Q.",
        b"N.NQ.",
        b"N.}Q.",
        b"N.)Q.",
        b"N.U\x07ABCDEFG\x85Q.",
        b"N.]Q.",  # an empty list says nothing
        b"N.](K\x01eQ.",
        b"N.cmodule\nname\nQ.",
        b"N.h\x00.",  # nothing in the memo
        b"N.NNq\x02.",  # the memo does not begin there
        b"N.Nq\x01h\x00.",
        b"N.(.",  # what stays on the stack
        b"N.NN.",
        b"N.t.",
        b"N.(00N.",
        b"N.a.",
        b"N.X\xff\xff\xff\xffab.",
        b"N.\x8b\xff\xff\xff\xff.",
        b"N.g-1\n.",
        b"N.Np\n.",
        b"N.Np99999999999999999999\n.",
        b"N.I1",
    ],
)
def test_what_is_not_understood_exactly_is_unknown(cores: Cores, record: bytes) -> None:
    assert walked(cores.references, [record]) == [(UNKNOWN, False)]


def test_an_unknown_record_leaves_its_neighbours_alone(cores: Cores) -> None:
    known, strange = pickled([Held(OID)]), pickled([Held(HIGH)])[:-1] + b"\xff"

    found = walked(cores.references, [known, strange, known])

    assert found == [([u64(OID)], False), (UNKNOWN, False), ([u64(OID)], False)]


def test_no_record_sees_the_memo_of_another(cores: Cores) -> None:
    first = b"N.(U\x08ABCDEFGHq\x00q\x01q\x02t."
    second = b"N.h\x00Q."

    assert walked(cores.references, [first, second]) == [([], False), (UNKNOWN, False)]
    assert walked(cores.references, [first, b"N.Nq\x01h\x00Q."])[1] == (UNKNOWN, False)


def test_a_memory_that_is_too_small_makes_a_record_unknown(cores: Cores) -> None:
    record = pickled([f"{n}" for n in range(20)] + [Held(OID)])

    for memory in range(4, 80):
        found = walked(cores.references, [record], memory=memory)
        assert found in ([(UNKNOWN, False)], [([u64(OID)], False)])
    assert found == [([u64(OID)], False)]


def test_the_walk_stops_before_a_record_that_has_no_room(cores: Cores) -> None:
    data = pickled([Held(OID)] * 3)
    source = bytes(4) + 2 * (header(len(data)) + data)
    positions, ends, unknown, foreign = array("Q", [4, 46 + len(data)]), *map(words, (2, 2, 2))

    def walk(first: int, room: int) -> tuple[int, int, int]:
        told: tuple[int, int, int] = cores.references.walk(
            source, positions, first, 2, words(room), ends, unknown, foreign, words(99)
        )
        return told

    assert walk(0, 2) == (0, 0, 0)
    assert walk(0, 5) == (1, 0, 0)
    assert ends[0] == 3
    assert walk(1, 3) == (2, 0, 0)
    assert ends[1] == 3


def test_a_position_that_leads_nowhere_makes_a_record_unknown(cores: Cores) -> None:
    data = pickled(None)
    source = bytes(4) + header(len(data)) + data
    loops = bytes(4) + header(0) + p64(4) + bytes(8)
    upwards = bytes(4) + header(0) + p64(54) + header(len(data)) + data
    lies = bytes(4) + header(2**64 - 1) + data
    cases = [(source, len(source)), (source, 2**64 - 1), (source, 2**63), (loops, 4)]

    for file, position in [*cases, (upwards, 4), (lies, 4), (source[:-1], 4), (source[:45], 4)]:
        told = cores.references.walk(
            file, array("Q", [position]), 0, 1, words(1), words(1), words(1), words(1), words(99)
        )
        assert told == (1, 1, 0)


# pickles of all kinds


def values(ids: st.SearchStrategy[Held]) -> st.SearchStrategy[Any]:
    """Return a strategy of states that hold such objects."""
    return st.recursive(
        st.one_of(
            ids,
            ids,
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False),
            st.sampled_from(["", "w", "m", "n", "\n", "ABCDEFGH", "ümläuts!", "x" * 300]),
            st.sampled_from([b"", b"w", OID, b"y" * 300]).map(binary),
            st.sampled_from([PersistentMapping, OSError]),
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=5),
            st.lists(inner, max_size=4).map(tuple),
            st.dictionaries(st.integers(0, 9) | st.text(max_size=3), inner, max_size=5),
            st.lists(inner, max_size=3).map(lambda items: [items, items, tuple(items)]),
        ),
        max_leaves=25,
    )


right_ids = st.sampled_from([OID, p64(1), p64(2**62), *(pid for pid, _, _ in FORMS.values())])
odd_ids = st.sampled_from(
    [None, 7, (), [], ["x"], ((OID,),), b"short", "ABCDEFGH", ("ABCDEFGH", 1), "ÄÖÜÄÖÜÄÖ"]
)


@given(values(right_ids.map(Held)), st.integers(1, 3))
@settings(deadline=None)
def test_the_references_of_what_zodb_writes_are_known(state: object, protocol: int) -> None:
    record = pickled(_binary(state), protocol=protocol)

    theirs = asked(record)

    assert theirs is not None
    assert both(record) == theirs


@given(values((right_ids | odd_ids).map(Held)), st.integers(1, 3), st.booleans())
@settings(deadline=None)
def test_the_references_of_other_records_are_those_of_referencesf_or_unknown(
    state: object, protocol: int, as_strings: bool
) -> None:
    agrees(pickled(_binary(state) if as_strings else state, protocol=protocol))


@given(values(right_ids.map(Held)), st.data())
@settings(deadline=None, max_examples=200)
def test_of_a_damaged_record_nothing_else_is_said_than_referencesf_says(
    state: object, data: st.DataObject
) -> None:
    record = bytearray(pickled(_binary(state), protocol=data.draw(st.integers(1, 3))))
    for _ in range(data.draw(st.integers(1, 3))):
        record[data.draw(st.integers(0, len(record) - 1))] ^= 1 << data.draw(st.integers(0, 7))

    agrees(bytes(record))


@given(values(right_ids.map(Held)), st.integers(0, 3))
@settings(deadline=None, max_examples=30)
def test_a_truncated_record_is_unknown(state: object, protocol: int) -> None:
    record = pickled(_binary(state), protocol=protocol)
    pieces = [record[:end] for end in range(1, len(record))]

    for name in RUNNING:
        found = walked(core(name), pieces)
        assert found == [(UNKNOWN, False)] * len(pieces)


# opcodes with their arguments, by what they take from the stack and leave there
PUSHES = [
    *(
        b"N|K\x00|M\x00\x00|J\x00\x00\x00\x00|I1\n|L1L\n|F1.0\n|\x88|\x89|G\0\0\0\0\0\0\0\0".split(
            b"|"
        )
    ),
    *(b"S'w'\n|Vw\n|U\x01w|U\x01m|X\x01\0\0\0n|T\x01\0\0\0w|C\x01w|B\x01\0\0\0m".split(b"|")),
    *(b"U\x08ABCDEFGH|X\x08\0\0\0ABCDEFGH|C\x08ABCDEFGH|S'ABCDEFGH'\n|U\x03abc".split(b"|")),
    *(b")|]|}|ca\nb\n|\x82\x01|\x83\x01\x01|\x84\x01\0\0\0|\x8a\x00|\x8a\x01\x07".split(b"|")),
    *(b"\x8b\x01\0\0\0\x07|h\x00|h\x01|h\x02|j\x01\0\0\0|g0\n|g1\n".split(b"|")),
]
TAKES = {  # how many values are taken, how many left
    **dict.fromkeys(b"\x85|Q|q\x00|q\x01|q\x02|r\x03\0\0\0|p0\n|p1\n".split(b"|"), (1, 1)),
    **dict.fromkeys(b"\x86|R|\x81|a".split(b"|"), (2, 1)),
    **dict.fromkeys(b"\x87|s".split(b"|"), (3, 1)),
    **{b"0": (1, 0), b"2": (1, 2), b"b": (2, 1), b"\x80\x01": (0, 0), b"\x80\x03": (0, 0)},
}
MARKED = {b"t": 1, b"l": 1, b"d": 1, b"o": 1, b"ia\nb\n": 1, b"e": 0, b"u": 0, b"1": 0}
OPCODES = [*PUSHES, *TAKES, *[b"("] * 6, *MARKED, *[b"Q"] * 6]


def program(choices: list[bytes]) -> bytes:
    """Return a pickle of the opcodes chosen, without those that cannot come where they do."""
    out, depth, marks = b"", 0, [0]
    for opcode in choices:
        take, leave = TAKES.get(opcode, (0, 1))
        if opcode == b"(":
            marks.append(depth)
        elif opcode in MARKED:
            if len(marks) == 1 or (opcode in b"eu" and marks[-1] == 0):
                continue
            depth = marks.pop() + MARKED[opcode]
        elif depth - take < marks[-1]:
            continue
        else:
            depth += leave - take
        out += opcode
    while len(marks) > 1:
        depth = marks.pop()
        out += b"1"
    return out + (b"0" * (depth - 1) if depth else b"N") + b"."


@given(st.lists(st.sampled_from(OPCODES), max_size=40).map(program))
@settings(deadline=None, max_examples=1000)
def test_of_any_opcodes_nothing_else_is_said_than_referencesf_says(pickle: bytes) -> None:
    agrees(b"N." + pickle)


@given(st.lists(st.sampled_from(OPCODES), max_size=20).map(b"".join))
@settings(deadline=None, max_examples=500)
def test_of_opcodes_out_of_place_nothing_else_is_said(pickle: bytes) -> None:
    agrees(b"N." + pickle + b".")


@given(st.binary(max_size=60))
@settings(deadline=None, max_examples=500)
def test_of_any_bytes_nothing_else_is_said_than_referencesf_says(noise: bytes) -> None:
    agrees(b"N." + noise)


# References: a file's records, with all that the core does not know


@contextmanager
def stored(tmp_path: Path, *transactions: dict[int, bytes]) -> Iterator[tuple[Source, array[int]]]:
    """Let a FileStorage store these records; yield the file and their positions."""
    path = tmp_path / "Data.fs"
    storage = FileStorage(str(path))
    serials: dict[int, bytes] = {}
    for records in transactions:
        transaction = TransactionMetaData()
        storage.tpc_begin(transaction)
        for oid, data in records.items():
            storage.store(p64(oid), serials.get(oid, z64), data, "", transaction)
        storage.tpc_vote(transaction)
        tid = storage.tpc_finish(transaction)
        serials.update(dict.fromkeys(records, tid))
    storage.close()
    with open_source(path) as source:
        yield source, positions_of(source)


def positions_of(source: Source) -> array[int]:
    positions = array("Q")
    for batch, count in batches(source, new_cursor()):
        positions.extend(batch[1 : 6 * count : 6])
    return positions


def references(walker: References, positions: array[int]) -> list[list[int]]:
    """Return the references of each of the records."""
    found = []
    for first, done, oids, ends in walker.of(positions, len(positions)):
        assert first == len(found)
        for number in range(first, done):
            start = ends[number - 1] if number > first else 0
            found.append(oids[start : ends[number]].tolist())
    return found


def compressed(data: bytes) -> bytes:
    """Return DATA as zc.zlibstorage stores it."""
    return b".z" + zlib.compress(data)


def test_the_records_that_plone_wrote_are_known(tmp_path: Path, cores: Cores) -> None:
    with tarfile.open(PLONE) as archive:
        archive.extract("filestorage/Prod.fs", tmp_path, filter="data")
    with open_source(tmp_path / "filestorage/Prod.fs") as source:
        walker = References(source)
        records = [walker.data(each) for each in positions_of(source)]

    assert len(records) > 5000
    found = walked(cores.references, records, memory=1 << 16)
    assert found == [(asked(record), False) for record in records]


def test_each_record_has_its_references(tmp_path: Path) -> None:
    records = {n: pickled([Held(p64(n + i)) for i in range(n % 3)]) for n in range(10_000)}

    with stored(tmp_path, records) as (source, positions):
        walker = References(source)
        found = references(walker, positions)

    assert found == [[n + i for i in range(n % 3)] for n in range(10_000)]
    assert walker.unknown == 0


def test_compressed_records_are_decompressed_among_others(tmp_path: Path) -> None:
    records = {n: pickled([Held(p64(n + i)) for i in range(n % 4)]) for n in range(5000)}
    some = {n: data if n % 3 else compressed(data) for n, data in records.items()}

    with stored(tmp_path, some) as (source, positions):
        walker = References(source)
        found = references(walker, positions)

    assert found == [[n + i for i in range(n % 4)] for n in range(5000)]
    assert walker.unknown == 0  # nothing of it is unknown to the core


def test_a_record_with_more_references_than_there_is_room_for(tmp_path: Path) -> None:
    many = range(1, 200_000)
    data = pickled([Held(p64(n)) for n in many])

    with stored(tmp_path, {0: data, 1: compressed(data), 2: pickled(Held(OID))}) as (source, at):
        walker = References(source)
        assert references(walker, at) == [list(many), list(many), [u64(OID)]]

    assert walker.unknown == 0


def test_a_record_that_referencesf_alone_knows_is_counted(tmp_path: Path) -> None:
    odd = b"N.S'ABCDEFGH'\nQ."
    records = {0: pickled(Held(OID)), 5: odd, 6: compressed(odd), 7: pickled(Held(p64(1)))}

    with stored(tmp_path, records) as (source, positions):
        walker = References(source)
        found = references(walker, positions)

        assert found == [[u64(OID)], [u64(b"ABCDEFGH")], [u64(b"ABCDEFGH")], [1]]
        assert walker.unknown == 2
        assert walker.odd == [(5, positions[1]), (6, positions[2])]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"cm\nn\n.\x80\x04N.", "unsupported pickle protocol: 4"),
        (b"N.NK\x01K\x01K\x01", "its references cannot be read"),
        (b"any garbage", "its references cannot be read"),
        (b"N.S'ABCDE'\nQ.", "a reference that is not 8 bytes long"),
        (b"cm\nn\n.NQ.", "its references cannot be read: AssertionError"),
        (compressed(b"N.N."[:3]), "its references cannot be read"),
        (compressed(b"N.N.")[:-2], "decompressed, it is cut short"),
        (b".zgarbage", "it cannot be decompressed"),
    ],
)
def test_a_record_that_nobody_knows_is_an_error(tmp_path: Path, data: bytes, reason: str) -> None:
    with stored(tmp_path, {0: pickled(None), 7: data}) as (source, positions):
        with pytest.raises(UnreadableRecord, match=reason) as caught:
            references(References(source), positions)

        assert caught.value.path == str(source.path)
        assert caught.value.offset == positions[1]
        assert caught.value.oid == 7


def test_references_to_other_databases_are_noted_once(tmp_path: Path) -> None:
    foreign = [Held(["m", ("other", OID, PersistentMapping)]), Held(["n", ("mäin", p64(7))])]
    records = {
        0: pickled(foreign[0]),
        1: compressed(pickled([*foreign, Held(p64(3))])),
        2: pickled(foreign),
        3: b"N.(S'ABCDEFGH'\nQ]q\x01(U\x01n(U\x01xU\x08ABCDEFGHteQt.",
    }
    noted: dict[tuple[str, int], int] = {}

    with stored(tmp_path, records) as (source, at):
        found = references(References(source, foreign=noted), at)

    assert found == [[], [3], [], [u64(b"ABCDEFGH")]]
    assert noted == {("other", u64(OID)): at[0], ("mäin", 7): at[2], ("x", u64(b"ABCDEFGH")): at[3]}


def test_a_reference_to_another_database_that_says_too_little_is_an_error(tmp_path: Path) -> None:
    with stored(tmp_path, {4: pickled(Held(["m", ("other",)]))}) as (source, positions):
        assert references(References(source), positions) == [[]]
        with pytest.raises(UnreadableRecord, match="odd reference to a database"):
            references(References(source, foreign={}), positions)


def test_back_pointers_are_followed_however_many(tmp_path: Path) -> None:
    path, data = tmp_path / "Data.fs", pickled(Held(OID))
    chain = 3000
    first = 4 + 23 + 42 + len(data)
    length = 23 + 42 + len(data) + chain * 50
    places = [4 + 23, *(first + 50 * number for number in range(chain))]
    back = b"".join(
        p64(1) + p64(1) + bytes(8) + p64(4) + bytes(10) + p64(place) for place in places[:-1]
    )
    record = p64(1) + p64(1) + bytes(8) + p64(4) + bytes(2) + p64(len(data)) + data
    transaction = p64(1) + p64(length) + b" " + bytes(6) + record + back + p64(length)
    path.write_bytes(b"FS30" + transaction)

    with open_source(path) as source:
        positions = positions_of(source)
        assert positions.tolist() == places
        assert references(References(source), positions) == [[u64(OID)]] * (chain + 1)


def test_a_creation_that_was_undone_refers_to_nothing(tmp_path: Path) -> None:
    path = tmp_path / "Data.fs"
    storage = FileStorage(str(path))
    transaction = TransactionMetaData()
    storage.tpc_begin(transaction)
    storage.store(p64(1), z64, pickled(Held(OID)), "", transaction)
    storage.tpc_vote(transaction)
    storage.tpc_finish(transaction)
    storage.tpc_begin(transaction)
    storage.undo(storage.undoInfo()[0]["id"], transaction)
    storage.tpc_vote(transaction)
    storage.tpc_finish(transaction)
    storage.close()

    with open_source(path) as source:
        assert references(References(source), positions_of(source)) == [[u64(OID)], []]


def test_one_record_can_be_asked_for(tmp_path: Path) -> None:
    with stored(tmp_path, {0: pickled(Held(OID)), 1: pickled(None)}) as (source, positions):
        walker = References(source)

        assert [walker.of_one(each).tolist() for each in positions] == [[u64(OID)], []]
        assert walker.data(positions[1]) == pickled(None)
        with pytest.raises(UnreadableRecord, match="there is no record at byte"):
            walker.of_one(source.end)


# what ZODB's C code cannot stand


@pytest.mark.parametrize(
    "pickle",
    [b"NI1\n0r\xff\xff\xff\x7f.", b"Np1000000000\n.", b"NNr\xff\xff\xff\xff."],
    ids=["2**31 entries", "in text", "2**32 entries"],
)
def test_a_memo_larger_than_the_record_could_need_is_refused(tmp_path: Path, pickle: bytes) -> None:
    with (
        stored(tmp_path, {0: b"N." + pickle}) as (source, positions),
        pytest.raises(UnreadableRecord, match="in the memo"),
    ):
        references(References(source), positions)


def test_tuples_nested_too_deep_to_be_hashed_are_refused(tmp_path: Path) -> None:
    """As the key of a dictionary they end the process: the C stack overflows."""
    deep = b"N.}S'no id of ours'\nQN" + b"\x85" * 1_000_000 + b"Ns."

    with (
        stored(tmp_path, {0: deep}) as (source, positions),
        pytest.raises(UnreadableRecord, match="nested more than 10000 deep"),
    ):
        references(References(source), positions)


def test_many_tuples_that_are_not_deep_are_no_reason_to_refuse() -> None:
    state = [Held(["n", ("other", OID)]), [(n, (n, n)) for n in range(20_000)]]

    check_pickles(BytesIO(pickled(state)), 2)
    assert depth_of_tuples(pickled(state)) == 2


@example(b"N.NN\x86q\x01\x85h\x01\x86(2t0(01.")
@given(st.lists(st.sampled_from(OPCODES), max_size=30).map(lambda all: b"N." + b"".join(all)))
@settings(deadline=None, max_examples=200)
def test_the_check_for_depth_raises_nothing_unexpected(record: bytes) -> None:
    try:
        depth_of_tuples(record)
    except REFUSED:
        pass
