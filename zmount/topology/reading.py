"""Reading a ZConfig file to the end, whatever is wrong with it.

ZConfig stops at the first mistake. An administrator wants all of them in one
run, each with its file and line; so this subclass of its loader notes a
mistake as a :class:`Finding` and goes on. A section type that the schema does
not know is kept as it was written where its parent allows that (a storage of
an ``%import``-ed type, a log handler).
"""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Any

import ZConfig
from ZConfig.info import ValueInfo
from ZConfig.loader import ConfigLoader
from ZConfig.matcher import BaseMatcher, SectionMatcher

from zmount.topology.datatypes import raw
from zmount.topology.findings import Finding, error
from zmount.topology.keeping import DEEPEST, RAW, RawMatcher, thrown_away
from zmount.topology.mistakes import first_line, shown, unknown_section
from zmount.topology.options import guard
from zmount.topology.parsing import Parser
from zmount.topology.parsing import file_name as file_name
from zmount.topology.places import Place
from zmount.topology.sections import RawSection

MOST_FILES = 1000  # that %include may read


class Loader(ConfigLoader):  # type: ignore[misc]
    """Loads a configuration, noting every mistake in :attr:`findings`."""

    def __init__(self, schema: Any) -> None:
        super().__init__(schema)
        self.findings: list[Finding] = []
        self.imports: list[str] = []
        self._including: list[str] = []
        self._files = 0

    def openResource(self, url: str) -> Any:
        """Return the file that URL names.

        :raises ZConfig.ConfigurationError: it cannot be read
        """
        if not url.startswith("file:"):
            raise ZConfig.ConfigurationError("only files can be read", url)
        path = Path(file_name(url))
        try:
            if path.is_char_device() or path.is_block_device():
                raise ZConfig.ConfigurationError("it is a device, not a file", url)
            text = path.read_bytes().decode("utf-8-sig")  # keeps a lone CR, to refuse it
        except UnicodeDecodeError as why:
            raise ZConfig.ConfigurationError(
                f"it is not UTF-8 text (byte {why.start})", url
            ) from None
        except (OSError, ValueError) as why:
            reason = getattr(why, "strerror", None) or str(why)
            raise ZConfig.ConfigurationError(f"it cannot be read: {reason}", url) from None
        return self.createResource(StringIO(text), url)

    def importSchemaComponent(self, pkgname: str) -> None:
        """Note the package: what reads our output imports it, zmount need not have it."""
        if pkgname not in self.imports:
            self.imports.append(pkgname)

    def includeConfiguration(self, section: Any, url: str, defines: Any) -> None:
        """Read the file at URL into SECTION."""
        self._files += 1
        if url in self._including:
            raise ZConfig.ConfigurationError(f"{file_name(url)} includes itself", url)
        if self._files > MOST_FILES:
            raise ZConfig.ConfigurationError(f"more than {MOST_FILES} files are included", url)
        with self.openResource(url) as resource:
            self._parse_resource(section, resource, defines)

    def _parse_resource(self, matcher: Any, resource: Any, defines: Any = None) -> None:
        self._including.append(resource.url)
        try:
            Parser(resource, self, defines).parse(matcher)
        finally:
            self._including.pop()

    def startSection(self, parent: Any, type_: str, name: str | None, place: Place) -> Any:
        """Return what collects the keys of a section."""
        if isinstance(parent, RawMatcher):
            if parent.depth >= DEEPEST:
                raise ZConfig.ConfigurationError("sections are too deep inside each other")
            return RawMatcher(type_, name, place, depth=parent.depth + 1)
        known = {ci.sectiontype.name for _, ci in parent.type if ci.issection()}
        if type_ in known and self.schema.gettype(type_).datatype is raw:
            return RawMatcher(type_, name, place)
        if type_ in known and not self.schema.gettype(type_).isabstract():
            matcher = parent.createChildMatcher(
                self.schema.gettype(type_), _unmistakable(type_, name)
            )
            matcher.name = name
            matcher.place = place
            return matcher
        if RAW in known:
            return RawMatcher(type_, name, place)
        within = f"<{parent.type.name}>" if isinstance(parent, SectionMatcher) else "the file"
        self.findings.append(unknown_section(type_, known, place, within))
        return thrown_away(place)

    def endSection(self, parent: Any, type_: str, name: str | None, matcher: Any) -> None:
        """Put the section that MATCHER collected into PARENT."""
        if isinstance(matcher, RawMatcher):
            if not matcher.type_:
                return
            if isinstance(parent, RawMatcher):
                parent.sections.append(matcher.section())
            else:
                _raw_sections(parent).append(matcher.section())
            return
        value = self.finish(matcher)
        if name is None or self._is_new(parent, type_, name, matcher.place):
            parent.addSection(type_, _unmistakable(type_, name), value)

    def _is_new(self, parent: Any, type_: str, name: str, place: Place) -> bool:
        first = parent.__dict__.setdefault("_places", {}).setdefault((type_, name), place)
        if first is place:
            return True
        self.findings.append(
            error(
                "name-twice",
                place,
                f"<{type_} {name}> stands twice",
                why=f"the first is in line {first.line}"
                + (f" of {first.file}" if first.file != place.file else ""),
                hint="join the two, or give one another name",
            )
        )
        return False

    def finish(self, matcher: Any) -> Any:
        """Return MATCHER's section, less the values that have not their key's type.

        The value gets two attributes more: ``place`` and ``raw``, the sections
        that were kept as they were written.
        """
        matcher.place = Place(matcher.place.file, matcher.place.line, _key_places(matcher))
        self.convert(matcher)
        self._require(matcher)
        value = matcher.finish()
        value.place = matcher.place
        value.raw = tuple(_raw_sections(matcher))
        return value

    def _require(self, matcher: Any) -> None:
        """Note the keys that MATCHER must have and has not, and go on as if it had."""
        for key, ci in matcher.type:
            if ci.issection() or not ci.minOccurs or matcher._values[ci.attribute] is not None:
                continue
            type_ = matcher.type.name
            if key not in matcher.place.keys:  # else it is there and was noted as wrong
                self.findings.append(
                    error(
                        "missing-key",
                        matcher.place,
                        f"<{type_}> has no {key}",
                        hint=f"{key} {key.upper()}",
                    )
                )
            position = (matcher.place.line, None, matcher.place.file)
            matcher._values[ci.attribute] = ValueInfo("missing", position)

    def convert(self, matcher: BaseMatcher) -> None:
        """Note the values of MATCHER that have not the key's type, and drop them."""
        for _, ci in matcher.type:
            if ci.issection():
                continue
            said = matcher._values[ci.attribute]
            if isinstance(said, dict):
                matcher._values[ci.attribute] = {
                    key: vi for key, vi in said.items() if self._is_right(key, vi, ci.datatype)
                }
            elif isinstance(said, list):
                matcher._values[ci.attribute] = [
                    vi for vi in said if self._is_right(ci.name, vi, ci.datatype)
                ]
            elif said is not None and not self._is_right(ci.name, said, ci.datatype):
                matcher._values[ci.attribute] = None

    def _is_right(self, key: str, vi: Any, datatype: Callable[[str], Any]) -> bool:
        try:
            datatype(vi.value)
        except ValueError as why:
            said = guard(key, shown(vi.value))
            place = Place(file_name(vi.position[2]), vi.position[0])
            self.findings.append(
                error("wrong-type", place, f"{key} {said}".strip(), why=first_line(why))
            )
            return False
        return True


def _unmistakable(type_: str, name: str | None) -> str | None:
    """Return a name that is no key's and no other type's.

    To ZConfig a section's name is one of its parent's keys: it would refuse a
    host and an instance of one name, or a site called user.
    """
    return f"{type_} {name}" if name else None


def _raw_sections(matcher: Any) -> list[RawSection]:
    if not hasattr(matcher, "raw"):
        matcher.raw = []
    raw: list[RawSection] = matcher.raw
    return raw


def _key_places(matcher: BaseMatcher) -> Any:
    places = {}
    for _, ci in matcher.type:
        said = None if ci.issection() else matcher._values[ci.attribute]
        if isinstance(said, list):
            said = said[0] if said else None
        if isinstance(said, dict):
            for key, vi in said.items():
                places[key] = Place(file_name(vi.position[2]), vi.position[0])
        elif said is not None:
            places[ci.name] = Place(file_name(said.position[2]), said.position[0])
    return MappingProxyType(places)
