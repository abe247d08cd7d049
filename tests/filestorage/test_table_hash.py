"""The table of objects, where somebody chose the oids so that it would be slow."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator
from itertools import islice, pairwise
from pathlib import Path

import pytest
from fs_bytes import Record, Transaction, file_of
from packers import CORES as BOTH

from zmount.filestorage.cores import Cores, chosen, load
from zmount.filestorage.format import words
from zmount.filestorage.objects import Table
from zmount.filestorage.output import Measure
from zmount.filestorage.packing import Job, Packing
from zmount.filestorage.source import open_source
from zmount.filestorage.table_hash import BITS, LONGEST, MULTIPLIER, WIDEST, _multiplier

GOLDEN = 0x9E3779B97F4A7C15  # what the multiplier of every process was once
NOW = 2**64 - 1
MANY = 200_000


def of_one_product() -> Iterator[int]:
    """Yield oids that all wanted the first place when the multiplier was known."""
    inverse = pow(GOLDEN, -1, 1 << BITS)
    found = (inverse * product % (1 << BITS) for product in range(1 << 29))
    return (oid << 3 for oid in found if oid < 1 << 61)


def of_high_bits() -> Iterator[int]:
    """Yield oids that differ in their highest bits only."""
    return (number << 44 for number in range(1, 1 << 20))


def consecutive() -> Iterator[int]:
    return iter(range(1, 1 << 20))


@pytest.fixture(params=BOTH)
def core(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("ZMOUNT_CORE", request.param)
    chosen.cache_clear()
    yield request.param
    chosen.cache_clear()


def pack_cpu_s(path: Path, oids: Iterator[int], count: int) -> float:
    """Return the seconds of computing that a pack of a file with COUNT of these OIDS takes."""
    records = [Record(oid=oid, data=b"N.N.") for oid in (0, *islice(oids, count))]
    half = len(records) // 2
    path.write_bytes(
        file_of(
            Transaction(tid=1, records=tuple(records[:half])),
            Transaction(tid=2, records=tuple(records[half:])),
        )
    )
    with open_source(path) as source:
        job = Job(path=path, end=source.end, stop=1)
        packing = Packing(source, job, lambda phase, done, total: None)
        before = time.process_time()
        packing.survey()
        output = Measure()
        packing.frees_nothing(output)
        packing.write_rest(output)
        took = time.process_time() - before
    assert packing.report().objects_after == 1 + len(records) - half
    return took


@pytest.mark.parametrize("oids", [of_one_product, of_high_bits])
def test_oids_that_were_made_to_collide_are_as_fast_as_others(
    tmp_path: Path, core: str, oids: Callable[[], Iterator[int]]
) -> None:
    count = MANY if core == "compiled" else MANY // 20
    usual = pack_cpu_s(tmp_path / "usual.fs", consecutive(), count)

    assert pack_cpu_s(tmp_path / "Data.fs", oids(), count) < 0.5 + 10 * usual


@pytest.mark.parametrize("slots", [8, 16, 1024])
def test_all_cores_look_at_the_same_place(cores: Cores, slots: int) -> None:
    oids = array("Q", (number * 0x123456789ABCDEF % 2**64 for number in range(slots // 2)))
    table = Table(slots)
    table.core = cores.mark
    for oid in oids:
        table.set(oid, oid | 16)
    assert len(table.slots) == 2 * slots
    missing = words(len(oids))

    gone = sum(oid & cores.mark.GONE for oid in oids)
    assert cores.check.dangling(table.slots, oids, len(oids), missing) == gone
    for core in BOTH:
        assert [load(core, "mark").mark.word_of(table.slots, oid) for oid in oids] == [
            oid | 16 for oid in oids
        ]


def test_each_process_has_a_multiplier_of_its_own_that_spreads_consecutive_oids() -> None:
    found = {_multiplier() for _ in range(20)}

    assert len(found) == 20
    assert all(number % 2 == 1 for number in (*found, MULTIPLIER))
    for number in found:
        for length in (10, 1000, 20_000):
            places = sorted(number * each % (1 << BITS) for each in range(length))
            widest = max(after - before for before, after in pairwise(places))
            assert widest < (WIDEST + 2) * (1 << BITS) / length
    assert LONGEST < BITS // 2
