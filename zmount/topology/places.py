"""Where in which file something was said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_NO_KEYS: Mapping[str, Place] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a configuration file, and the lines of the keys inside it.

    ``line`` counts from 1; 0 means the file as a whole. Two places with the
    same file and line are equal, whatever keys they know of.
    """

    file: str
    line: int = 0
    keys: Mapping[str, Place] = field(default_factory=lambda: _NO_KEYS, compare=False, repr=False)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file

    def of(self, key: str) -> Place:
        """Return the line of KEY, or this section's line if KEY is implied."""
        return self.keys.get(key, self)


NOWHERE = Place("", 0)
