"""zope.ini or wsgi.ini, as paste.deploy and Python's logging read it."""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from pathlib import PurePosixPath

from zmount.errors import AdoptError
from zmount.topology.places import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class IniFile:
    """An ini file's sections; each is its name, its keys and the line it begins in.

    In the values ``%(here)s`` and ``%(__file__)s`` are replaced; other
    interpolation stays as it is written.
    """

    file: str
    sections: tuple[tuple[str, dict[str, str], int], ...]

    def section(self, name: str) -> dict[str, str]:
        """Return the keys of section NAME; none if there is no such section."""
        for found, keys, _ in self.sections:
            if found == name:
                return keys
        return {}

    def place(self, name: str) -> Place:
        """Return where section NAME begins."""
        for found, _, line in self.sections:
            if found == name:
                return Place(self.file, line)
        return Place(self.file)

    @property
    def zope_conf(self) -> str:
        """The zope.conf that it runs, "" if it runs none."""
        for name, keys, _ in self.sections:
            if name.startswith("app:") and "zope_conf" in keys:
                return keys["zope_conf"]
        return ""


def parse_ini(text: str, file: str) -> IniFile:
    """Return what the ini file FILE, with this TEXT, says.

    :raises AdoptError: it is no ini file; with the line
    """
    parser = configparser.RawConfigParser(strict=False, default_section="\0")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text, file)
    except configparser.ParsingError as why:
        line = why.errors[0][0] if why.errors else 0
        raise AdoptError(f"{Place(file, line)}: this is no key, value or [section]") from None
    except configparser.MissingSectionHeaderError as why:
        raise AdoptError(f"{Place(file, why.lineno)}: a [section] is expected") from None
    except configparser.Error as why:
        raise AdoptError(f"{file}: {why.message.splitlines()[0]}") from None
    lines = {
        line.strip()[1:-1]: number
        for number, line in enumerate(text.splitlines(), 1)
        if line.startswith("[") and line.strip().endswith("]")
    }
    here = str(PurePosixPath(file).parent)
    defaults = dict(parser.items("DEFAULT")) if parser.has_section("DEFAULT") else {}
    return IniFile(
        file=file,
        sections=tuple(
            (
                name,
                {
                    key: _filled(value, {**defaults, "here": here, "__file__": file})
                    for key, value in parser.items(name)
                },
                lines.get(name, 0),
            )
            for name in parser.sections()
            if name != "DEFAULT"
        ),
    )


def _filled(value: str, names: dict[str, str]) -> str:
    for name, text in names.items():
        value = value.replace(f"%({name})s", text)
    return value.strip()
