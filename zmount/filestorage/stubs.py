"""What an object's record says, loaded with stand-ins for all classes.

Nothing that a record names is imported, and nothing of it is run: a class is a
stand-in that keeps what it is given, a persistent reference is a :class:`Ref`.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import Any

from zodbpickle.pickle import Unpickler

from zmount.filestorage.pickles import REFUSED, check_pickles

LONGEST = 1 << 20  # bytes: what is larger is no object that a person would name


@dataclass(frozen=True, slots=True)
class Ref:
    """A reference to another object of the database."""

    oid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """An object: the name of its class with its module, and its state, None if unknown."""

    class_name: str = ""
    state: Any = None

    @property
    def is_tree(self) -> bool:
        """Whether it is part of a BTree: then its state is a tuple of its own kind."""
        return self.class_name.startswith("BTrees.")

    @property
    def own_name(self) -> str:
        """Its id, as Zope and zope.container keep it; "" if it has none."""
        if isinstance(self.state, dict):
            for key in ("id", "__name__"):
                name = self.state.get(key)
                if isinstance(name, bytes):
                    name = name.decode("utf-8", "replace")
                if isinstance(name, str) and name and "/" not in name:
                    return name
        return ""


class Stub:
    """Stands for an instance of any class: keeps what the pickle gives it."""

    module = ""
    arguments: tuple[Any, ...]
    state: Any
    items: list[Any]

    def __new__(cls, *arguments: Any) -> Stub:
        made = super().__new__(cls)
        made.arguments = arguments
        made.state = None
        made.items = []
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, item: Any) -> None:
        self.items.append(item)

    def extend(self, items: Any) -> None:
        self.items.extend(items)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items.append((key, value))


class _Unpickler(Unpickler):  # type: ignore[misc]  # zodbpickle has no types
    """Finds stand-ins and makes references; strings of Python 2 stay bytes if they are no ASCII."""

    def __init__(self, file: BytesIO) -> None:
        super().__init__(file, encoding="ASCII", errors="bytes")
        self._classes: dict[tuple[str, str], type[Stub]] = {}

    def find_class(self, module: str, name: str) -> type[Stub]:
        found = self._classes.get((module, name))
        if found is None:
            found = self._classes[module, name] = type(name, (Stub,), {"module": module})
        return found

    def persistent_load(self, pid: Any) -> Ref | None:
        oid = pid[0] if isinstance(pid, tuple) and pid else pid
        oid = oid.encode("latin-1") if isinstance(oid, str) else oid
        if not isinstance(oid, bytes) or len(oid) != 8:
            return None  # weak, or of another database
        return Ref(int.from_bytes(oid, "big"))


def load(data: bytes) -> Loaded:
    """Return the object that DATA, two pickles, is of; with empty fields where it is unreadable."""
    if len(data) > LONGEST:
        return Loaded()
    class_name, state = "", None
    try:
        file = BytesIO(data)
        check_pickles(file, 1)
        class_name = _class_name(_Unpickler(BytesIO(data[: file.tell()])).load())
        file.seek(0)
        check_pickles(file, 2)
        unpickler = _Unpickler(BytesIO(data))
        unpickler.load()
        state = unpickler.load()
    except REFUSED:
        pass  # what is known until here is worth something
    return Loaded(class_name=class_name, state=state)


def _class_name(found: Any) -> str:
    """Return the name of what the first pickle is: a class, or a tuple that begins with one."""
    while isinstance(found, tuple) and found:
        if all(isinstance(each, str) for each in found[:2]) and len(found) > 1:
            return f"{found[0]}.{found[1]}"
        found = found[0]
    if isinstance(found, type) and issubclass(found, Stub):
        return f"{found.module}.{found.__name__}"
    return ""
