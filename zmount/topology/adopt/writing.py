"""From sections to the text of a zmount.conf."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from zmount.topology.adopt.conf_files import as_written, plain
from zmount.topology.options import Options, Value
from zmount.topology.sections import RawSection

INDENT = "  "
_NOTHING = Options()

# Keys and their values, as Options hold them.
Keys: TypeAlias = "tuple[tuple[str, tuple[Value, ...]], ...]"


def block(
    type_: str,
    name: str = "",
    *,
    keys: Options = _NOTHING,
    sections: tuple[RawSection | None, ...] = (),
) -> RawSection:
    """Return a section of zmount.conf; sections that are None are left out."""
    return RawSection(
        type=type_,
        name=name,
        keys=flat(keys),
        sections=tuple(section for section in sections if section is not None),
    )


def block_if_any(type_: str, keys: Options, *sections: RawSection | None) -> RawSection | None:
    """Return a section without a name, or None if there is nothing to say in it."""
    made = block(type_, keys=keys, sections=sections)
    return made if made.keys or made.sections else None


def flat(keys: Options) -> tuple[tuple[str, Value], ...]:
    """Return KEYS with one line for each value."""
    return tuple((key, value) for key, values in keys.items_ for value in values)


def one(key: str, *values: Value) -> Keys:
    """Return KEY with its VALUES; nothing without any."""
    return ((key, values),) if values else ()


def conf_text(section: RawSection, *, indent: str = "") -> str:
    """Return SECTION's lines as ZConfig reads them, secrets included."""
    return "".join(f"{line}\n" for line in _lines(section, indent))


def key_line(key: str, value: Value) -> str:
    """Return the line that says VALUE for KEY, so that ZConfig reads it unchanged."""
    return f"{key} {as_written(plain(value))}".rstrip()


def _lines(section: RawSection, indent: str) -> Iterator[str]:
    head = f"{section.type} {section.name}".strip()
    if not section.keys and not section.sections:
        yield f"{indent}<{head}/>"
        return
    yield f"{indent}<{head}>"
    for key, value in section.keys:
        yield indent + INDENT + key_line(key, value)
    for inner in section.sections:
        yield from _lines(inner, indent + INDENT)
    yield f"{indent}</{section.type}>"
