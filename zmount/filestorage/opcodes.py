"""The opcodes of a pickle and where they end; nothing is loaded, nothing is understood.

``pickletools.genops`` does the same ten times slower, for it also makes each argument.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator

PUTS = {ord(each.code): each.name for each in pickletools.opcodes if each.name.endswith("PUT")}
TUPLES = frozenset(ord(each.code) for each in pickletools.opcodes if "TUPLE" in each.name)
_STOP = ord(".")
_TWO_LINES = frozenset(b"ci")  # GLOBAL and INST
_BAD = -9

# by opcode: how many bytes its argument has; below 0: as pickletools says it, by its first
# bytes or up to a newline; _BAD: there is no such opcode
_SIZES = [_BAD] * 256
for _opcode in pickletools.opcodes:
    _SIZES[ord(_opcode.code)] = 0 if _opcode.arg is None else _opcode.arg.n
_LENGTHS = {
    pickletools.TAKEN_FROM_ARGUMENT1: 1,
    pickletools.TAKEN_FROM_ARGUMENT4: 4,
    pickletools.TAKEN_FROM_ARGUMENT4U: 4,
    pickletools.TAKEN_FROM_ARGUMENT8U: 8,
}


def opcodes(data: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """Yield opcode, and where its argument begins and ends, of the pickle AT a byte of DATA.

    :raises ValueError: no pickle ends in DATA
    """
    most = len(data)
    while at < most:
        code = data[at]
        start = at + 1
        size = _SIZES[code]
        at = start + size if size >= 0 else _end(data, code, start, size)
        if at > most:
            break
        yield code, start, at
        if code == _STOP:
            return
    raise ValueError(f"the pickle is cut short at byte {most}")


def put_number(data: bytes, code: int, start: int, end: int) -> int:
    """Return the number in the memo that the opcode CODE, one of PUTS, writes to.

    :raises ValueError: it says none
    """
    if PUTS[code] == "PUT":
        return int(data[start : end - 1])
    return int.from_bytes(data[start:end], "little")


def _end(data: bytes, code: int, start: int, size: int) -> int:
    """Return where the argument ends that has no fixed SIZE.

    :raises ValueError: there is no such opcode, or the argument does not end
    """
    if size == pickletools.UP_TO_NEWLINE:
        for _ in range(2 if code in _TWO_LINES else 1):
            start = data.index(b"\n", start) + 1
        return start
    if size == _BAD:
        raise ValueError(f"byte {start - 1}: {code:#x} is no opcode")
    width = _LENGTHS[size]
    length = int.from_bytes(data[start : start + width], "little")
    return start + width + length
