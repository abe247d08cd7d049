"""``Data.fs.referrers``: where a packer learns which other databases may refer to this one.

One word and its values a line; blank lines and ``#`` comments say nothing. The
file lies beside its Data.fs, and zmount writes it, or an administrator::

    database NAME                  what this database is called in some application
    referrer NAME DATA_FS          a file whose references to NAME mean this database
    unreadable NAME WHERE REASON   what refers to it as NAME cannot be read: no gc
    stage NAME DIRECTORY           the same of the files of a stage's generations
    list NAME FILE                 the same of every line of FILE, which leaves NAME out

A file that a list names and that is this Data.fs itself is no referrer, also under
another name; of several names of one file one counts. Nor is one that is not there
yet: then a ``.referrers`` of its own lies at its place, which a disk that is not
mounted would not show. Paths may hold blanks. What is not understood cannot be
read: it forbids gc, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from types import MappingProxyType

SUFFIX = ".referrers"
GENERATION = re.compile(r"gen-\d{6}")  # zmount/server/generations.py


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """WHERE cannot be read for references, because of REASON."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Referrers:
    """Who may refer to a database.

    ``names`` is what it is called. ``files`` holds, for each Data.fs that may
    refer to it, the names by which references in that file mean it.
    """

    names: frozenset[str] = frozenset()
    files: Mapping[Path, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of FILE: its word, and the rest of it."""

    file: Path
    number: int
    word: str
    rest: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.number}"


def read_referrers(data_fs: str | PathLike[str]) -> Referrers:
    """Return who may refer to the database in DATA_FS, as the file beside it says.

    Without that file nobody may. What is wrong with it is in the result.
    """
    names: set[str] = set()
    files: dict[Path, set[str]] = {}
    unreadable: list[Unreadable] = []
    known: dict[object, Path] = {}
    for said in _said(Path(fspath(data_fs) + SUFFIX)):
        if isinstance(said, Unreadable):
            unreadable.append(said)
        elif isinstance(said, str):
            names.add(said)
        else:
            name, path = said
            names.add(name)
            if not _is_same(path, Path(data_fs)) and not _is_to_come(path):
                files.setdefault(known.setdefault(_identity(path), path), set()).add(name)
    return Referrers(
        names=frozenset(names),
        files=MappingProxyType({path: frozenset(said) for path, said in files.items()}),
        unreadable=tuple(dict.fromkeys(unreadable)),
    )


def _said(path: Path) -> Iterator[str | tuple[str, Path] | Unreadable]:
    """Yield a name, a name and a file, or what cannot be read, for each line of PATH."""
    if not path.exists():
        return
    for line in _lines(path):
        if isinstance(line, Unreadable):
            yield line
            continue
        name, _, rest = line.rest.partition(" ")
        rest = rest.strip()
        if line.word == "database" and name and not rest:
            yield name
        elif line.word == "list" and rest:
            yield from _listed(name, Path(rest))
        else:
            yield from _one(line, name, rest)


def _listed(name: str, path: Path) -> Iterator[tuple[str, Path] | Unreadable]:
    for line in _lines(path):
        if isinstance(line, Unreadable):
            yield line
        else:
            yield from _one(line, name, line.rest)


def _one(line: _Line, name: str, rest: str) -> Iterator[tuple[str, Path] | Unreadable]:
    if line.word == "referrer" and name and rest.startswith("/"):
        yield name, Path(rest)
    elif line.word == "stage" and name and rest.startswith("/"):
        yield from _of_stage(name, Path(rest))
    elif line.word == "unreadable" and name and rest:
        where, _, reason = rest.partition(" ")
        yield Unreadable(where=where, reason=reason.strip() or "no reason is given")
    else:
        reason = f"not understood: {line.word} {line.rest}".strip()
        yield Unreadable(where=line.place, reason=reason)


def _of_stage(name: str, generations: Path) -> Iterator[tuple[str, Path] | Unreadable]:
    """Yield the files of the current generation and of those that may come back."""
    try:
        found = [each for each in generations.iterdir() if GENERATION.fullmatch(each.name)]
    except OSError as why:
        yield Unreadable(where=str(generations), reason=why.strerror or str(why))
        return
    for generation in sorted(found):
        for path in (generation / "base.fs", generation / "changes.fs"):
            if path.exists():
                yield name, path


def _lines(path: Path) -> Iterator[_Line | Unreadable]:
    try:
        text = path.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as why:
        yield Unreadable(where=str(path), reason=why.strerror or str(why))
        return
    for number, line in enumerate(text.split("\n"), 1):
        word, _, rest = line.strip().partition(" ")
        if word and not word.startswith("#"):
            yield _Line(path, number, word, rest.strip())


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return one == other


def _identity(path: Path) -> object:
    """Return what is the same for two names of one file."""
    try:
        found = path.stat()
    except OSError:
        return path
    return found.st_dev, found.st_ino


def _is_to_come(path: Path) -> bool:
    """True if PATH is not there, and that is no accident."""
    return not path.exists() and Path(f"{path}{SUFFIX}").exists()
