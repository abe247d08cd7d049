"""Pickles of data records, read without the classes that they name.

What ZODB's own C code cannot stand is refused before it gets it.
"""

from __future__ import annotations

import pickletools
from io import BytesIO
from typing import Any

from ZODB._compat import PersistentUnpickler
from ZODB.serialize import referencesf
from zodbpickle.pickle import UnpicklingError

from zmount.filestorage.opcodes import PUTS, TUPLES, opcodes, put_number

DEEPEST = 10_000  # hash() of tuples that are nested deeper may overflow the C stack

# what zodbpickle, ZODB and pickletools raise at what is no pickle of a record
REFUSED = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    SystemError,  # zodbpickle makes a tuple of a negative length
    TypeError,
    UnpicklingError,
    ValueError,
)


def safe_referencesf(data: bytes) -> list[bytes]:
    """Return what ZODB's referencesf finds in DATA, two pickles.

    :raises ValueError: the pickles are broken in a way that could harm the process
    """
    check_pickles(BytesIO(data), 2)
    found: list[bytes] = referencesf(data)
    return found


def persistent_ids(data: bytes) -> list[Any]:
    """Return the persistent ids in DATA, two pickles, with None for all objects in them.

    :raises Exception: one of REFUSED
    """
    check_pickles(BytesIO(data), 2)
    found: list[Any] = []
    unpickler = PersistentUnpickler(None, found.append, BytesIO(data))
    unpickler.noload()
    unpickler.noload()
    return found


def is_blob(data: bytes) -> bool:
    """Return whether the class that DATA begins with is that of blobs."""
    if data.startswith(b"\x80"):  # the protocol
        data = data[2:64]
    return data.removeprefix(b"(").startswith(b"cZODB.blob\nBlob\n")


def check_pickles(file: BytesIO, count: int) -> None:
    """Refuse what makes zodbpickle ask for all the memory or overflow the C stack.

    It makes its memo as large as the largest number says, and it hashes nested
    tuples, as keys of dictionaries, without a limit. FILE is left after the
    COUNT pickles.

    :raises ValueError: it does not hold so many pickles, or such ones
    """
    data = file.getvalue()
    most, at, tuples = len(data), file.tell(), 0
    for _ in range(count):
        for code, start, end in opcodes(data, at):
            if code in PUTS and not 0 <= (number := put_number(data, code, start, end)) <= most:
                raise ValueError(f"number {number} in the memo of {most} bytes")
            tuples += code in TUPLES
            at = end
    file.seek(at)
    if tuples > DEEPEST and depth_of_tuples(data, count) > DEEPEST:
        raise ValueError(f"tuples are nested more than {DEEPEST} deep")


def depth_of_tuples(data: bytes | memoryview, count: int = 2) -> int:
    """Return how deep tuples are nested in tuples in DATA, COUNT pickles.

    :raises ValueError: DATA does not hold so many pickles
    :raises IndexError: a pickle takes more from its stack than is on it
    :raises KeyError: a pickle takes from its memo what is not in it
    """
    deepest = 0
    memo: dict[Any, int] = {}
    file = BytesIO(data)
    for _ in range(count):
        stack: list[int] = []  # how deep each value is
        marks: list[int] = []
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name == "MARK":
                marks.append(len(stack))
                continue
            if opcode.name.endswith("PUT"):
                memo[argument] = stack[-1]
                continue
            if opcode.name == "POP" and marks and marks[-1] == len(stack):
                marks.pop()
                continue
            if pickletools.markobject in opcode.stack_before:
                start = marks.pop()
                kept = opcode.stack_before.index(pickletools.markobject)
            else:
                start, kept = len(stack) - len(opcode.stack_before), 0
            taken = stack[start:]
            del stack[start - kept :]
            depth = 0
            if "TUPLE" in opcode.name:
                depth = 1 + max(taken, default=0)
            elif opcode.name.endswith("GET"):
                depth = memo[argument]
            elif opcode.name == "DUP":
                depth = taken[0]
            deepest = max(depth, deepest)
            stack.extend([depth] * len(opcode.stack_after))
    return deepest


def foreign_references(persistent_ids: list[Any]) -> list[tuple[str, int]]:
    """Return database name and oid of the references to other databases.

    :raises ValueError: one has not the form it should have
    """
    found = []
    for each in persistent_ids:
        match each:
            case ["m", (name, oid, _)] | ["n", (name, oid)]:
                oid = oid.encode("latin-1") if isinstance(oid, str) else oid
                if not isinstance(name, str) or not isinstance(oid, bytes) or len(oid) != 8:
                    raise ValueError(f"{each!r}")
                found.append((name, int.from_bytes(oid, "big")))
            case ["m" | "n", *_]:
                raise ValueError(f"{each!r}")
    return found
