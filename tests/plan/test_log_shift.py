"""Old files of a log move on in an order that a crash cannot spoil."""

from __future__ import annotations

import random

from zmount.plan.log_shift import OldLog, old_number, shift


def old(*names: str) -> list[OldLog]:
    """Return old files with NAMES; the first is the newest."""
    found = []
    for at, name in enumerate(names):
        known = old_number("log", name)
        assert known is not None
        found.append(
            OldLog(
                name=name,
                number=known[0],
                is_compressed=known[1],
                modified_ns=1000 - at,
                file=(1, at),
            )
        )
    return found


def test_only_names_as_logrotate_makes_them_are_old_files() -> None:
    assert old_number("log", "log.1") == (1, False)
    assert old_number("log", "log.12.gz") == (12, True)
    for name in ("log", "log.0", "log.1.bak", "log.gz", "log.1.gz.new", "log.x", "blog.1", "log1"):
        assert old_number("log", name) is None


def test_the_oldest_moves_first() -> None:
    assert shift("log", old("log.1", "log.2", "log.3.gz"), 5).renames == (
        ("log.3.gz", "log.4.gz"),
        ("log.2", "log.3"),
        ("log.1", "log.2"),
    )


def test_more_than_are_kept_are_dropped_and_a_gap_drops_none_early() -> None:
    assert shift("log", old("log.1", "log.2", "log.3"), 3).drops == ("log.3",)
    assert shift("log", old("log.2", "log.3"), 3).drops == ()
    assert shift("log", old("log.2", "log.9"), 3).renames == (("log.9", "log.3"),)
    assert shift("log", old("log.1"), 1).drops == ("log.1",)


def test_of_two_with_one_number_the_newer_comes_first() -> None:
    assert shift("log", old("log.2", "log.2.gz"), 5).renames == (("log.2.gz", "log.3.gz"),)


def test_no_step_meets_a_name_that_is_taken_and_the_order_stays() -> None:
    chance = random.Random(6)
    for _ in range(300):
        numbers = sorted(chance.sample(range(1, 12), chance.randint(0, 8)))
        names = [f"log.{number}{chance.choice(['', '.gz'])}" for number in numbers]
        keep = chance.randint(1, 10)
        steps = shift("log", old(*names), keep)
        there = {name: name for name in names if name not in steps.drops}
        for before, after in steps.renames:
            assert after not in there
            there[after] = there.pop(before)
            by_number = sorted(there, key=lambda name: old_number("log", name) or (0, False))
            assert [there[name] for name in by_number] == names[: len(there)]
        assert len(there) == min(len(names), keep - 1)
        assert not any((old_number("log", name) or (1,))[0] == 1 for name in there)
