"""The lines of a file that is being generated, and whether a secret is in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

from zmount.errors import RenderError
from zmount.topology.options import Options, Secret, Value
from zmount.topology.sections import RawSection


class Text:
    """Lines; ``holds_secret`` says that the file must not be readable by all."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.holds_secret = False

    def __str__(self) -> str:
        return "\n".join(self.lines) + "\n"

    def add(self, *lines: str) -> None:
        """Append LINES."""
        self.lines.extend(lines)

    def reveal(self, value: Value) -> str:
        """Return VALUE's text, and remember it if it is a secret.

        :raises RenderError: it has a line break, which no configuration file can hold
        """
        if isinstance(value, Secret):
            self.holds_secret = True
            value = value.reveal()
        if "\n" in value or "\r" in value:
            raise RenderError(f"{value.splitlines()[0]!r}... has a line break")
        return value


class ZConfigText(Text):
    """A file that ZConfig reads; sections indent what stands in them."""

    def __init__(self) -> None:
        super().__init__()
        self._indent = ""

    def comment(self, text: str) -> None:
        """Append a comment."""
        self.lines.append(f"{self._indent}# {text}")

    def key(self, name: str, value: Value | PurePosixPath | int) -> None:
        """Append a key; ``$`` would begin a substitution and is doubled."""
        text = self.reveal(value if isinstance(value, (str, Secret)) else str(value))
        if "$" in text:
            text = text.replace("$", "$$")
        self.lines.append(f"{self._indent}{name} {text}" if text else f"{self._indent}{name}")

    def options(self, options: Options) -> None:
        """Append every key of OPTIONS, one line for each of its values."""
        for name, values in options.items_:
            for value in values:
                self.key(name, value)

    @contextmanager
    def section(self, type_: str, name: str = "") -> Iterator[None]:
        """Append a section around what is appended inside the ``with``."""
        self.lines.append(f"{self._indent}<{type_} {name}>" if name else f"{self._indent}<{type_}>")
        self._indent += "  "
        yield
        self._indent = self._indent[2:]
        self.lines.append(f"{self._indent}</{type_}>")

    def raw(self, section: RawSection, *, name: str | None = None) -> None:
        """Append SECTION as it was written, called NAME if that is not None."""
        with self.section(section.type, section.name if name is None else name):
            for key, value in section.keys:
                self.key(key, value)
            for inner in section.sections:
                self.raw(inner)

    def imports(self, packages: tuple[str, ...]) -> None:
        """Append an ``%import`` line for each of PACKAGES, once."""
        self.add(*(f"%import {package}" for package in dict.fromkeys(packages)))
