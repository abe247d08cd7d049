"""ZConfig sections that zmount hands on without understanding them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from zmount.topology.options import Value
from zmount.topology.places import NOWHERE, Place


@dataclass(frozen=True, slots=True, kw_only=True)
class RawSection:
    """A section as it was written: a storage of any ``%import``-ed type, a log handler.

    Its truth is in the schema of the program that will read it; that schema
    judges it in ``zmount apply``, before anything is written.
    """

    type: str
    name: str = ""
    keys: tuple[tuple[str, Value], ...] = ()
    sections: tuple[RawSection, ...] = ()
    place: Place = field(default=NOWHERE, compare=False, repr=False)

    def get(self, key: str) -> Value | None:
        """Return the last value of KEY, or None if it was not said."""
        found = None
        for name, value in self.keys:
            if name == key:
                found = value
        return found

    def walk(self) -> Iterator[RawSection]:
        """Yield this section and all sections inside it, outermost first."""
        yield self
        for section in self.sections:
            yield from section.walk()
