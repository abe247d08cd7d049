"""Where an object hangs: the way to it from the root, as a person would say it.

The ways are found by following all current references from the root, breadth
first, so each is the shortest. That takes as long as a pack's marking, and
happens only if there is something to say.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from zmount.errors import UnreadableRecord
from zmount.filestorage.cores import chosen
from zmount.filestorage.format import words
from zmount.filestorage.objects import Table
from zmount.filestorage.references import References
from zmount.filestorage.source import Source
from zmount.filestorage.stubs import Loaded, Ref, Stub, load

ROOT = 0
APPLICATION = "Application"  # what Zope's own object is called in the root mapping
NO_RECORD = 1  # no position: the root needs no parent
LONGEST = 80  # characters of a name that is told
MOST_STEPS = 100  # of a way that is told
MOST_VALUES = 100_000  # looked through in one state
MOST_BYTES = 1 << 24  # of records that are loaded: some seconds
WAVE = 1 << 14  # records read at a time
# how BTreeFolder2 and zope.container keep objects whose state has no id
IN_A_CONTAINER = re.compile(r"\.(?:_tree|_\w+__data)\['([^'/]+)'\]")
ATTRIBUTES_OF_MAPPINGS = ("data", "_container")  # their keys are as good as the mapping's


class Holders:
    """Knows for each object that the root leads to an object that refers to it."""

    def __init__(self, source: Source, table: Table) -> None:
        self._source = source
        self._table = table
        self._references = References(source, report=lambda why: None)
        self._shift = chosen().mark.SHIFT
        self._gone = chosen().mark.GONE
        self._parents = Table()
        self._loaded: dict[int, Loaded] = {}
        self._left = MOST_BYTES
        self._follow()

    def _follow(self) -> None:
        root = self._position(ROOT)
        if not root:
            return
        self._parents.set(ROOT, NO_RECORD << self._shift)
        todo = array("Q", [root])
        while todo:
            wave, todo = todo, array("Q")
            for start in range(0, len(wave), WAVE):
                self._adopt(wave[start : start + WAVE], todo)

    def _adopt(self, positions: array[int], found: array[int]) -> None:
        self._adopt_by(self._references, positions, positions, found)

    def _adopt_by(
        self,
        references: References,
        places: array[int],
        positions: array[int],
        found: array[int],
    ) -> None:
        """Take in what the records at PLACES of a file refer to; they are called POSITIONS."""
        core, parents = chosen().check, self._parents
        for first, done, oids, ends in references.of(places, len(places)):
            children = words(ends[done - 1])
            parents.make_room(len(children))
            count, new = core.adopt(
                self._table.slots, parents.slots, positions, oids, ends, first, done, children
            )
            parents.count += new
            found.extend(children[:count])

    def where(self, oid: int) -> tuple[str, str]:
        """Return the way to the object and its class; each "" if it is not known."""
        class_name = self._load(oid).class_name
        way = self._way(oid)
        return (said(self._steps(way)) if way else ""), class_name

    def _way(self, oid: int) -> list[int]:
        """Return the oids from the root, or from somewhere near, to OID; none: unreachable."""
        way = [oid]
        while oid != ROOT and len(way) < MOST_STEPS:
            position = self._parents.word(oid) >> self._shift
            if not position:
                return []
            oid = self._oid_at(position)
            way.append(oid)
        return way[::-1]

    def _oid_at(self, position: int) -> int:
        return int.from_bytes(self._source.buffer[position : position + 8], "big")

    def _steps(self, way: list[int]) -> Iterator[str]:
        if way[0] != ROOT:
            yield "..."
        for parent, child in pairwise(way):
            name = self._load(child).own_name
            keys = keys_of(self._load(parent), child)
            if parent == ROOT:
                key = keys[-1] if keys else "?"
                yield "/" if key == f"[{APPLICATION!r}]" else f"root{key}"
            elif name and keys == [f".{_short(name)}"]:
                yield f"/{_short(name)}"
            else:
                yield "".join(keys)

    def _load(self, oid: int) -> Loaded:
        if oid not in self._loaded:
            position = self._position(oid)
            try:
                data = self._data(position) if position else b""
            except UnreadableRecord:
                data = b""
            self._left -= len(data)
            self._loaded[oid] = load(data) if self._left > 0 else Loaded()
        return self._loaded[oid]

    def _data(self, position: int) -> bytes:
        return self._references.data(position)

    def _position(self, oid: int) -> int:
        word = self._table.word(oid)
        return 0 if word & self._gone else word >> self._shift


def said(steps: Iterator[str]) -> str:
    """Return a way as one text: what hangs as Zope's paths go is told as these."""
    path, rest = "", ""
    for step in steps:
        if not step.startswith("/"):
            rest += step
        elif rest:
            rest += f".{step[1:]}"
        else:
            path = path.rstrip("/") + step
        if inside := IN_A_CONTAINER.fullmatch(rest):
            path, rest = f"{path.rstrip('/')}/{inside[1]}", ""
    return (path + rest) or "root"


def keys_of(parent: Loaded, oid: int) -> list[str]:
    """Return under which attribute and keys PARENT refers to OID; none: it is not found."""
    left = [MOST_VALUES]
    if parent.is_tree:
        return _found_in_tree(parent.state, oid, left) or []
    if not isinstance(parent.state, dict):
        return _found(parent.state, oid, left) or []
    for name, value in parent.state.items():
        found = _found(value, oid, left)
        if found is not None:
            return found if name in ATTRIBUTES_OF_MAPPINGS else [f".{_short(name)}", *found]
    return []


def _found(value: Any, oid: int, left: list[int], depth: int = 0) -> list[str] | None:
    """Return the keys that lead from VALUE to a reference to OID; None: nothing does."""
    left[0] -= 1
    if isinstance(value, Ref):
        return [] if value.oid == oid else None
    if left[0] < 0 or depth > 50:
        return None
    for key, each in _children(value):
        found = _found(each, oid, left, depth + 1)
        if found is not None:
            return [_key(key), *found] if key is not None else found
    return None


def _children(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield what is in VALUE with its key, None where a key would say nothing."""
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((None, each) for each in value)
    elif isinstance(value, Stub):
        yield None, value.state
        yield from ((None, each) for each in (*value.items, *value.arguments))


def _found_in_tree(state: Any, oid: int, left: list[int]) -> list[str] | None:
    """The same for part of a BTree: keys and values come in turn, and may be in more tuples."""
    left[0] -= 1
    if not isinstance(state, tuple) or left[0] < 0:
        return None
    for number, each in enumerate(state):
        if isinstance(each, Ref) and each.oid == oid:
            key = state[number - 1] if number % 2 else None
            return [_key(key)] if isinstance(key, str | bytes | int) else []
        found = _found_in_tree(each, oid, left) if isinstance(each, tuple) else None
        if found is not None:
            return found
    return None


def _key(key: Any) -> str:
    if isinstance(key, str | bytes | int | float | None):
        text = repr(key)
    else:
        kind = key if isinstance(key, type) else type(key)
        text = kind.__name__ if issubclass(kind, Stub) else "..."
    return f"[{text if len(text) <= LONGEST else text[:LONGEST] + '...'}]"


def _short(name: Any) -> str:
    text = str(name)
    text = text if len(text) <= LONGEST else text[:LONGEST] + "..."
    return text if text.isprintable() else repr(text)[1:-1]
