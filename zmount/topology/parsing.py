"""Parsing the lines of a ZConfig file; a line that is wrong is noted and skipped."""

from __future__ import annotations

import posixpath
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import ZConfig
from ZConfig.cfgparser import ZConfigParser
from ZConfig.matcher import SectionMatcher

from zmount.topology.findings import UNREAD, error
from zmount.topology.keeping import RawMatcher, thrown_away
from zmount.topology.mistakes import first_line, in_our_words, shown, unknown_key
from zmount.topology.places import Place

MOST_FINDINGS = 1000  # nobody reads more; a file of garbage would give millions


def file_name(url: str | None) -> str:
    """Return the path that ZConfig's URL stands for."""
    if not url:
        return "<text>"
    return unquote(urlsplit(url).path) if url.startswith("file:") else url


class Opened(NamedTuple):
    """A section whose end has not been read yet."""

    type: str
    name: str | None
    parent: Any
    place: Place


class Parser(ZConfigParser):  # type: ignore[misc]
    """Parses a file to its end; what is wrong goes to ``context.findings``."""

    def place(self) -> Place:
        """Return the line being read."""
        return Place(file_name(self.url), self.lineno)

    def parse(self, section: Any) -> None:
        """Read all lines into SECTION."""
        done, line = self.nextline()
        while not done and len(self.context.findings) < MOST_FINDINGS:
            section = self._line(section, line)
            done, line = self.nextline()
        if not done:
            self.note("syntax", "there are too many mistakes", hint="put these right first")
        while self.stack:
            section = self._unclosed(section) if done else self._close(section)

    def _line(self, section: Any, line: str) -> Any:
        try:
            _refuse_control_characters(line)
            if line.startswith("</"):
                return self._end(section, line)
            if line.startswith("<"):
                return self._start(section, line)
            if line.startswith("%"):
                self.handle_directive(section, line[1:])
            elif line and not line.startswith("#"):
                self.handle_key_value(section, line)
        except ZConfig.SubstitutionReplacementError as why:
            self.note(
                "undefined",
                f"${why.name} is not defined",
                hint=f"%define {why.name} VALUE, or $(NAME) for an environment variable that is "
                "set",
            )
        except ZConfig.ConfigurationError as why:
            self._note_mistake(section, line, why)
        return section

    def _start(self, section: Any, line: str) -> Any:
        body = line[1:-1] if line.endswith(">") else line[1:]
        is_empty = body.endswith("/")
        words = (body[:-1] if is_empty else body).split()
        type_ = words[0].lower() if words else ""
        name = words[1].lower() if len(words) == 2 else None
        if not line.endswith(">") or len(words) not in (1, 2) or any(c in body for c in "()<>"):
            self.note("syntax", shown(line), why="a section begins with <TYPE> or <TYPE NAME>")
            matcher = thrown_away(self.place())
        else:
            self._refuse_upper_case(section, type_, words)
            matcher = self._started(section, type_, name)
        if is_empty:
            self._ended(section, type_, name, matcher)
            return section
        self.stack.append(Opened(type_, name, section, self.place()))
        return matcher

    def _refuse_upper_case(self, section: Any, type_: str, words: list[str]) -> None:
        name = words[-1]
        if len(words) == 2 and name != name.lower() and not isinstance(section, RawMatcher):
            self.note(
                "upper-case-name",
                f"<{type_} {shown(name)}> has upper-case letters",
                why="ZConfig lowers section names silently, but not the values that refer to them",
                hint=f"<{type_} {shown(name.lower())}>",
            )

    def _started(self, section: Any, type_: str, name: str | None) -> Any:
        try:
            return self.context.startSection(section, type_, name, self.place())
        except ZConfig.ConfigurationError as why:
            if "be unnamed" in why.message or "be named" in why.message:
                self.note("no-name", f"<{type_}> has no name", hint=f"<{type_} NAME>")
            else:
                self.note("section", f"<{shown(type_)}>", why=first_line(why.message))
            return thrown_away(self.place())

    def _end(self, section: Any, line: str) -> Any:
        type_ = line[2:].rstrip(">").strip().lower()
        if not line.endswith(">"):
            self.note("syntax", shown(line), why="a section ends with </TYPE>")
        if not self.stack:
            self.note("syntax", f"{shown(line)} ends a section that never began")
            return section
        if all(opened.type != type_ for opened in self.stack):
            expected = self.stack[-1].type
            self.note("syntax", shown(line), why=f"</{shown(expected)}> is expected here")
            type_ = expected
        while self.stack[-1].type != type_:
            section = self._unclosed(section)
        return self._close(section)

    def _unclosed(self, section: Any) -> Any:
        opened = self.stack[-1]
        self.context.findings.append(
            error(
                "syntax",
                opened.place,
                f"<{shown(opened.type)}> has no end",
                hint=f"</{shown(opened.type)}>, or <{shown(opened.type)} .../> if it is empty",
            )
        )
        return self._close(section)

    def _close(self, section: Any) -> Any:
        opened = self.stack.pop()
        self._ended(opened.parent, opened.type, opened.name, section)
        return opened.parent

    def _ended(self, parent: Any, type_: str, name: str | None, matcher: Any) -> None:
        try:
            self.context.endSection(parent, type_, name, matcher)
        except ZConfig.ConfigurationError as why:
            what, reason = f"<{type_} {name}>" if name else f"<{type_}>", first_line(why.message)
            if "too many instances" in reason:
                what, reason = f"{what} stands twice in {_within(parent)}", "there can be only one"
            self.context.findings.append(error("section", matcher.place, what, why=reason))

    def handle_include(self, section: Any, rest: str) -> None:
        """Read the file REST, relative to this one, in this place."""
        path = self.replace(rest.strip()).removeprefix("file://")
        beside = posixpath.dirname(file_name(self.url))
        url = PurePosixPath(posixpath.normpath(posixpath.join(beside, path))).as_uri()
        try:
            self.context.includeConfiguration(section, url, self.defines)
        except ZConfig.ConfigurationError as why:
            self.note(UNREAD, f"%include {shown(path)}", why=first_line(why.message))

    def replace(self, text: str) -> str:
        """Return TEXT with $names replaced."""
        value: str = super().replace(text)
        _refuse_control_characters(value)
        return value

    def _note_mistake(self, section: Any, line: str, why: ZConfig.ConfigurationError) -> None:
        key = line.split()[0].lower()
        if "not a known key" in why.message:
            known = {ci.name for _, ci in section.type if not ci.issection()}
            self.context.findings.append(unknown_key(key, known, self.place(), _within(section)))
            return
        reason, hint = in_our_words(why.message)
        self.note("syntax", shown(line if "malformed" in why.message else key), reason, hint)

    def note(self, rule: str, what: str, why: str = "", hint: str = "") -> None:
        """Note a finding about the line being read."""
        self.context.findings.append(error(rule, self.place(), what, why=why, hint=hint))


def _refuse_control_characters(text: str) -> None:
    """Raise if TEXT could become two lines, or worse, in a generated file."""
    if any((char < " " and char != "\t") or char == "\x7f" for char in text) or (
        len(text.splitlines()) > 1
    ):
        raise ZConfig.ConfigurationError("it holds a control character or the end of a line")


def _within(section: Any) -> str:
    return f"<{section.type.name}>" if isinstance(section, SectionMatcher) else "the file"
