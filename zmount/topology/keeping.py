"""Sections kept as they are written, while a file is read."""

from __future__ import annotations

from typing import Any

from zmount.topology.options import guard
from zmount.topology.places import Place
from zmount.topology.sections import RawSection

RAW = "zmount.raw"  # schema.xml's abstract type of sections kept as written
DEEPEST = 20  # sections inside each other; storages wrap three or four


class RawMatcher:
    """Collects a section as it is written, without judging it.

    One without a type is read to its end and thrown away.
    """

    def __init__(self, type_: str, name: str | None, place: Place, *, depth: int = 0) -> None:
        self.type_ = type_
        self.name = name or ""
        self.place = place
        self.depth = depth
        self.keys: list[tuple[str, Any]] = []
        self.sections: list[RawSection] = []

    def addValue(self, key: str, value: str, position: Any) -> None:
        self.keys.append((key, guard(key, value)))

    def section(self) -> RawSection:
        return RawSection(
            type=self.type_,
            name=self.name,
            keys=tuple(self.keys),
            sections=tuple(self.sections),
            place=self.place,
        )


def thrown_away(place: Place) -> RawMatcher:
    """Return a matcher for a section that nothing is kept of."""
    return RawMatcher("", None, place)
