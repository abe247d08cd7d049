"""How old files of a log move on when it is rotated: .1, .2.gz, .3.gz, as logrotate has it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_OLD = re.compile(r"\.([1-9]\d{0,5})(\.gz)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class OldLog:
    """A rotated file of a log: NAME.2 or NAME.2.gz has number 2.

    ``file`` is its device and inode, ``modified_ns`` the time of its last line.
    """

    name: str
    number: int
    is_compressed: bool
    modified_ns: int
    file: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """What makes room for .1: first DROPS are removed, then RENAMES are done in their order."""

    drops: tuple[str, ...] = ()
    renames: tuple[tuple[str, str], ...] = ()


def old_number(live: str, name: str) -> tuple[int, bool] | None:
    """Return the number of the rotated file NAME of the log LIVE, and whether it is compressed.

    None: it is none.
    """
    if not name.startswith(live):
        return None
    match = _OLD.fullmatch(name, len(live))
    return (int(match[1]), match[2] is not None) if match else None


def shift(live: str, old: Iterable[OldLog], keep: int) -> Shift:
    """Return what makes .1 of the log LIVE free and leaves KEEP files, .1 included.

    A gap in the numbers, as a crash leaves it, is filled, so that the next run after one
    drops nothing early; of two files of one number the older moves on.
    """
    drops: list[str] = []
    moves: list[tuple[OldLog, int]] = []
    for at, each in enumerate(sorted(old, key=lambda one: (one.number, -one.modified_ns))):
        number = at + 2
        if number > keep:
            drops.append(each.name)
        elif number != each.number:
            moves.append((each, number))
    renames = [
        (each.name, f"{live}.{number}{'.gz' if each.is_compressed else ''}")
        for each, number in _in_order(moves)
    ]
    return Shift(drops=tuple(drops), renames=tuple(renames))


def _in_order(moves: list[tuple[OldLog, int]]) -> list[tuple[OldLog, int]]:
    """Return MOVES so that none meets another, and the files' order is right after each.

    Wherever a crash stops them, the next run finds that order.
    """
    up = [move for move in moves if move[1] > move[0].number]
    down = [move for move in moves if move[1] < move[0].number]
    return up[::-1] + down
