"""Which request each thread is working on, in a file that others can read.

A process whose threads all spin answers nobody any more; what it has written
into this file can still be read. The file is a header and a slot for each
thread, little-endian:

    header  8s magic, I pid, I slots
    slot    I serial, I native thread id, Q thread ident, d started, H length, text

``serial`` is odd while the slot is being written. ``started`` is seconds since
the epoch, 0 for a thread without a request; ``text`` is ``METHOD PATH`` in UTF-8,
cut where it is longer than a slot.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE_NAME = "zmount-requests"
MAGIC = b"zmreq 1\n"
SLOTS = 256  # threads; those beyond are not noted
SLOT = 1024  # bytes

_HEADER = struct.Struct("<8sII")
_SERIAL = struct.Struct("<I")
_REST = struct.Struct("<IQdH")  # after the serial
_TEXT = _SERIAL.size + _REST.size  # where the text begins in a slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request that a thread is working on. ``started`` is seconds since the epoch."""

    native_id: int
    ident: int
    started: float
    method: str
    path: str


class RequestFile:
    """The file at ``path``, written by this process; what was there is replaced.

    :raises OSError: it cannot be written
    """

    def __init__(self, path: Path) -> None:
        new = path.with_name(path.name + ".new")
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(new, flags, 0o600)
        try:
            os.ftruncate(descriptor, (SLOTS + 1) * SLOT)
            self._map = mmap.mmap(descriptor, (SLOTS + 1) * SLOT)
        finally:
            os.close(descriptor)
        _HEADER.pack_into(self._map, 0, MAGIC, os.getpid(), SLOTS)
        new.replace(path)  # a reader never sees half of it
        self._used = 0
        self._lock = threading.Lock()
        self._own = threading.local()

    def begin(self, text: str) -> None:
        """Note that this thread begins with the request TEXT."""
        # as WSGI has it: bytes of the request, each as the character of its number
        self._write(time.time(), text.encode("latin-1", "replace")[: SLOT - _TEXT])

    def end(self) -> None:
        """Note that this thread has ended its request."""
        self._write(0.0, b"")

    def _write(self, started: float, text: bytes) -> None:
        slot = self._slot()
        if slot is None:
            return
        serial = self._own.serial = self._own.serial + 2 & 0xFFFFFFFF
        _SERIAL.pack_into(self._map, slot, serial - 1 & 0xFFFFFFFF)
        self._map[slot + _TEXT : slot + _TEXT + len(text)] = text
        native, ident = self._own.ids
        _REST.pack_into(self._map, slot + _SERIAL.size, native, ident, started, len(text))
        _SERIAL.pack_into(self._map, slot, serial)

    def _slot(self) -> int | None:
        """Return where this thread's slot is; None: there are no more."""
        try:
            slot: int | None = self._own.slot
        except AttributeError:
            with self._lock:
                self._used += 1
                slot = self._used * SLOT if self._used <= SLOTS else None
            self._own.slot, self._own.serial = slot, 0
            self._own.ids = threading.get_native_id(), threading.get_ident()
        return slot


def requests_in(path: Path, pid: int) -> tuple[Request, ...] | None:
    """Return what the threads of the process PID are working on, longest first.

    None: the file is another process' or there is none.

    :raises OSError: it cannot be read
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(content) < SLOT or _HEADER.unpack_from(content) != (MAGIC, pid, SLOTS):
        return None
    return tuple(sorted(_requests(content), key=lambda each: each.started))


def _requests(content: bytes) -> Iterator[Request]:
    for at in range(SLOT, len(content) - SLOT + 1, SLOT):
        if request := _request(content, at):
            yield request


def _request(content: bytes, at: int) -> Request | None:
    (serial,) = _SERIAL.unpack_from(content, at)
    native, ident, started, length = _REST.unpack_from(content, at + _SERIAL.size)
    if serial % 2 or not started:
        return None  # between two requests
    text = content[at + _TEXT : at + _TEXT + min(length, SLOT - _TEXT)].decode("utf-8", "replace")
    method, _, request_path = text.partition(" ")
    return Request(native_id=native, ident=ident, started=started, method=method, path=request_path)


_file: RequestFile | None = None


def note_in(path: Path) -> None:
    """Note the requests of this process in the file PATH from now on.

    :raises OSError: it cannot be written
    """
    global _file
    _file = RequestFile(path)


def noted() -> Iterator[Request]:
    """Yield what the threads of this process are working on."""
    if _file is not None:
        yield from _requests(bytes(_file._map))


def begun(event: Any) -> None:
    """Take note of ZPublisher's event."""
    if _file is not None:
        environ = event.request.environ
        method = environ.get("REQUEST_METHOD", "")
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        _file.begin(f"{method} {path}")


def ended(event: Any) -> None:
    """Take note of ZPublisher's event."""
    if _file is not None:
        _file.end()
