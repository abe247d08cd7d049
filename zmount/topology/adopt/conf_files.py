"""Configuration files as they were found, without any schema."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from zmount.errors import AdoptError
from zmount.topology.options import Options, Secret, Value
from zmount.topology.sections import RawSection

Kind = Literal["zeo", "zope", "zdaemon"]

_KEPT = re.compile("\ue000([^\ue001]*)\ue001")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfFile:
    """A zeo.conf, a zope.conf or a zdaemon.conf.

    ``top`` holds the file's keys and sections, %include-d ones too. ``imports``
    are the packages it names by %import, ``defines`` what %define said, with
    lower-case names. ``comments`` is how many lines of comment it has.
    """

    file: str
    top: RawSection
    imports: tuple[str, ...] = ()
    defines: Mapping[str, str] = field(default_factory=dict)
    comments: int = 0

    @property
    def kind(self) -> Kind:
        """What reads this file, judged by what is in it.

        :raises AdoptError: nothing that zmount knows reads it
        """
        types = {section.type for section in self.top.sections}
        if "instance" in types or "site" in types:
            raise AdoptError(
                f"{self.file}: this is a zmount.conf already", hint=f"zmount -f {self.file} check"
            )
        if "zeo" in types and "zodb_db" in types:
            raise AdoptError(
                f"{self.file}: it holds <zeo> and <zodb_db>: is it a zeo.conf or a zope.conf?",
                hint="give each its own file",
            )
        if "zeo" in types:
            return "zeo"
        if "zodb_db" in types:
            return "zope"
        if "runner" in types:
            return "zdaemon"
        raise AdoptError(
            f"{self.file}: it is neither a zeo.conf (no <zeo>) nor a zope.conf (no <zodb_db>)",
            hint="zmount adopt ZEO.CONF... ZOPE.CONF...",
        )


def keep_reference(name: str) -> str:
    """Return the mark that stands for ``$(NAME)`` in a value that keeps it."""
    return f"\ue000{name}\ue001"


def shown(text: str) -> str:
    """Return a value as a person wrote it, ``$(NAME)`` included."""
    return _KEPT.sub(r"$(\1)", text)


def as_written(text: str) -> str:
    """Return a value as it must stand in a ZConfig file."""
    return _KEPT.sub(r"$(\1)", text.replace("$", "$$"))


def plain(value: Value) -> str:
    """Return VALUE's text, a secret's too: for the written zmount.conf only."""
    return value.reveal() if isinstance(value, Secret) else value


def sections_of(section: RawSection, *types: str) -> tuple[RawSection, ...]:
    """Return the sections of these TYPES that stand directly in SECTION."""
    return tuple(found for found in section.sections if found.type in types)


def keys_of(section: RawSection) -> Options:
    """Return SECTION's keys, the values of a repeated key together."""
    found: dict[str, tuple[Value, ...]] = {}
    for key, value in section.keys:
        found[key] = (*found.get(key, ()), value)
    return Options(tuple(found.items()))
