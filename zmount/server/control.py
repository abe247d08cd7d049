"""A unix socket beside a stage's generations, over which its server is told to swap.

One request a connection, a line of JSON; the answers are lines of JSON, too: how
far it is, now and then, and at last the result or an error. Only the server's own
user and root are heard: whoever reaches the ZEO server over a network is not.

::

    {"call": "swap", "mode": ""}     -> {"phase": "blobs", "done": 3, "total": 8} ...
                                        {"result": {...}}
    {"call": "undo"}, {"call": "facts"}, {"call": "status"}, which also counts changes
                                     -> {"error": "...", "kind": "SwapRefused"}
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

LONGEST_REQUEST = 1 << 16  # bytes
REQUEST_S = 10.0  # so long a request may take to come
PAUSE_S = 0.1  # after a connection that cannot be taken
_UCRED = "3i"  # pid, uid, gid: struct ucred of SO_PEERCRED

Answer = Callable[[dict[str, Any]], None]
Handler = Callable[[dict[str, Any], Answer], None]

log = logging.getLogger(__name__)


class ControlSocket:
    """Listens at PATH until it is closed; HANDLER does what a request says, in a thread.

    HANDLER gets the request and a function to answer with.
    """

    def __init__(self, path: Path, handler: Handler) -> None:
        self.path = path
        self.handler = handler
        path.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX)
        _at_short_path(path, self.socket.bind)
        path.chmod(0o600)
        self.socket.listen(8)
        self.socket.setblocking(False)
        _listener().add(self)

    def close(self) -> None:
        """Stop listening."""
        _listener().remove(self)
        self.socket.close()
        self.path.unlink(missing_ok=True)

    def accept(self) -> None:
        """Take a connection, and answer it in a thread of its own."""
        try:
            connection, _ = self.socket.accept()
        except BlockingIOError:
            return
        except OSError as why:  # too many open files, or it is being closed
            log.warning("%s: nobody is heard: %s", self.path, why)
            time.sleep(PAUSE_S)
            return
        connection.settimeout(REQUEST_S)
        threading.Thread(
            target=self._serve, args=(connection,), name=f"control {self.path}", daemon=True
        ).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError), connection.makefile("rwb") as lines:

            def answer(message: dict[str, Any]) -> None:
                lines.write(json.dumps(message).encode() + b"\n")
                lines.flush()

            try:
                line = lines.readline(LONGEST_REQUEST)  # or he would not hear a refusal
                uid = peer_uid(connection)
                if uid not in (0, os.geteuid()):
                    answer({"error": f"user {uid} may not do this", "kind": "PermissionError"})
                    return
                try:
                    request = json.loads(line)
                except ValueError as why:
                    answer({"error": f"this is no request: {why}", "kind": "ValueError"})
                    return
                connection.settimeout(None)
                self.handler(request, answer)
            except OSError as why:
                log.warning("%s: who asked is gone: %s", self.path, why)


class _Listener(threading.Thread):
    """One thread that waits for connections to all control sockets of the process."""

    def __init__(self) -> None:
        super().__init__(name="control sockets", daemon=True)
        self._selector = selectors.DefaultSelector()
        self._wake, waker = socket.socketpair()
        self._waker = waker
        self._selector.register(self._wake, selectors.EVENT_READ, None)

    def add(self, control: ControlSocket) -> None:
        self._selector.register(control.socket, selectors.EVENT_READ, control)
        self._waker.send(b".")

    def remove(self, control: ControlSocket) -> None:
        self._selector.unregister(control.socket)

    def run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    self._wake.recv(64)
                else:
                    key.data.accept()


_started: list[_Listener] = []
_starting = threading.Lock()


def _listener() -> _Listener:
    with _starting:
        if not _started:
            _started.append(_Listener())
            _started[0].start()
        return _started[0]


def peer_uid(connection: socket.socket) -> int:
    """Return the user id of the process at the other end."""
    size = struct.calcsize(_UCRED)
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    uid: int = struct.unpack(_UCRED, found)[1]
    return uid


def call(path: Path, request: dict[str, Any], progress: Answer = lambda said: None) -> Any:
    """Send REQUEST to the control socket at PATH; return the result.

    :raises ControlError: the server refuses, or failed
    :raises OSError: nobody listens there
    """
    with socket.socket(socket.AF_UNIX) as connection:
        _at_short_path(path, connection.connect)
        with connection.makefile("rwb") as lines:
            lines.write(json.dumps(request).encode() + b"\n")
            lines.flush()
            for line in lines:
                said = json.loads(line)
                if "error" in said:
                    raise ControlError(said["error"], said.get("kind", ""))
                if "result" in said:
                    return said["result"]
                progress(said)
    raise ControlError("the server ended before it answered", "Gone")


class ControlError(Exception):
    """What the server says against it; ``kind`` is the name of its exception."""

    def __init__(self, message: str, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


def _at_short_path(path: Path, use: Callable[[str], None]) -> None:
    """Call USE with PATH, in a short form: a socket's path has 107 bytes."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        use(f"/proc/self/fd/{directory}/{path.name}")
    finally:
        os.close(directory)
