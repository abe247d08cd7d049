"""What a topology file says, and the defaults that turn it into nouns.

Shared by the ``build_*`` modules: a section's keys as options, its paths, and
the findings that building comes upon.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from zmount.topology.findings import Finding, error
from zmount.topology.hosts import Host
from zmount.topology.options import Options, Value, guard
from zmount.topology.places import Place
from zmount.topology.sections import RawSection
from zmount.topology.sites import Site
from zmount.topology.topology import nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """What the command line adds to one instance (``zmount start adm --mount SITE``).

    ``mounts`` are names of sites (their production) or of sites' storages;
    ``root`` is the storage to show at its root, None for its own.
    """

    instance: str
    mounts: tuple[str, ...] = ()
    root: str | None = None


@dataclass(slots=True, kw_only=True)
class Said:
    """The file's top section, and what was wrong in it so far."""

    file: str
    top: Any
    imports: tuple[str, ...]
    extra: Extra | None = None
    hosts: dict[str, Host] = field(default_factory=dict)
    sites: dict[str, Site] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    guesses_left: int = 20

    def wrong(self, rule: str, place: Place, what: str, *, why: str = "", hint: str = "") -> None:
        """Note an error; building goes on with what makes sense instead."""
        self.findings.append(error(rule, place, what, why=why, hint=hint))

    def nearest(self, name: str, names: Iterable[str]) -> str:
        """Return a hint that names what NAME may have been meant to be, or "".

        To compare a name with thousands takes a tenth of a second; so only the
        first wrong names of a file are guessed at.
        """
        self.guesses_left -= 1
        return nearest(name, names) if self.guesses_left >= 0 else ""


def key_options(section: Any, keys: frozenset[str]) -> Options:
    """Return what SECTION says of KEYS, in the order of the schema."""
    if section is None:
        return Options()
    found: list[tuple[str, tuple[Value, ...]]] = []
    for _, ci in section.getSectionDefinition():
        if ci.issection() or ci.name not in keys:
            continue
        value = getattr(section, ci.attribute)
        if isinstance(value, list):
            if value:
                found.append((ci.name, tuple(value)))
        elif value is not None:
            found.append((ci.name, (value,)))
    return Options(tuple(found))


def free_options(section: Any) -> Options:
    """Return all keys of a section that takes any key."""
    if section is None:
        return Options()
    return Options(tuple((key, (guard(key, text),)) for key, text in section.values.items()))


def path_in(directory: PurePosixPath, text: str) -> PurePosixPath:
    """Return the path TEXT, relative to DIRECTORY if it is not absolute."""
    return directory / text


def is_none(text: str | None) -> bool:
    """True if TEXT says that there shall be none."""
    return text is not None and text.lower() == "none"


def raw_section(section: Any, type_: str) -> RawSection | None:
    """Return SECTION's raw section of TYPE_, or None."""
    for raw in section.raw:
        if raw.type == type_:
            found: RawSection = raw
            return found
    return None
