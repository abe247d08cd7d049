"""A storage read through its ZEO server with one socket and no thread.

ZEO's own client keeps a cache, a thread and an event loop for each storage; a
thousand of them take a minute to connect. Here a thousand storages take no more than
a second, for a few records of each are all that is asked for.

Source: ``ZEO/asyncio``: messages have four bytes of length; the server announces its
protocol, the client repeats it; calls and replies are tuples in pickle or msgpack.
"""

from __future__ import annotations

import io
import socket
import ssl
from typing import Any

from ZEO.asyncio.marshal import decoder, encoder
from ZODB.utils import maxtid, p64, z64
from zodbpickle.pickle import Unpickler, UnpicklingError

from zmount.effects.answers import connected_socket
from zmount.effects.zeo_client import client_context
from zmount.errors import StorageUnreadable
from zmount.topology.addresses import Address
from zmount.topology.storages import Storage
from zmount.topology.zeo import Tls

TIMEOUT_S = 3.0  # for each answer
_LONGEST = 1 << 30  # bytes of an answer: a bound for what is no ZEO server
_NO_KEY = "POSKeyError"
_AHEAD = (z64, p64(1))  # the root and, nearly always, its Application


class ZeoRecords:
    """A read-only connection to STORAGE at ADDRESS: RawStorage's methods.

    TLS is the client's side, with paths of this host. TIMEOUT_S is for each answer.

    :raises StorageUnreadable: the server does not give it
    """

    _is_read_only = True

    def __init__(
        self,
        storage: Storage,
        address: Address,
        tls: Tls | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._name = storage.name
        self._server = storage.server.name if storage.server is not None else str(address)
        self._calls = 0
        self._ahead: dict[tuple[bytes, bytes], int] = {}  # calls whose answers are not awaited yet
        self._answers: dict[int, tuple[int, Any]] = {}
        try:
            self._socket = _connected(address, tls, timeout_s)
        except OSError as why:
            raise self._unreadable(why.strerror or str(why) or "no answer") from None
        try:
            greeting = self._message()
            if greeting[:1] not in (b"Z", b"M") or not greeting[1:].isdigit():
                raise self._unreadable("something that is no ZEO server answers")
            self._encode = encoder(greeting)
            self._decode = decoder(greeting) if greeting[:1] == b"M" else _decoded_pickle
            self._begin(greeting, storage.zeo_name)
        except BaseException:
            self.close()
            raise

    def loadBefore(self, oid: bytes, tid: bytes) -> tuple[bytes, bytes, bytes | None] | None:
        """Return the newest record of OID that is older than TID; None: there is none."""
        number = self._ahead.pop((oid, tid), 0)
        found = self._answer(number) if number else self._call("loadBefore", oid, tid)
        return None if found is None else (bytes(found[0]), bytes(found[1]), found[2])

    def __len__(self) -> int:
        """Return how many objects the server says that there are."""
        return int(self._call("get_info")["length"])

    def size_bytes(self) -> int:
        """Return how large the server says that the storage is: of a file, what is committed."""
        return int(self._call("get_info")["size"])

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _begin(self, greeting: bytes, name: str) -> None:
        """Take the storage NAME, and ask for the first records before they are asked for."""
        number, register = self._numbered("register", name, self._is_read_only)
        messages = [greeting, register]
        for oid in _AHEAD:
            ahead, load = self._numbered("loadBefore", oid, maxtid)
            self._ahead[oid, maxtid] = ahead
            messages.append(load)
        self._send(*messages)
        self._answer(number)

    def _call(self, method: str, *args: object) -> Any:
        number, message = self._numbered(method, *args)
        self._send(message)
        return self._answer(number)

    def _tell(self, method: str, *args: object) -> None:
        """Call METHOD, which answers nothing."""
        self._calls += 1
        self._send(self._encode(self._calls, True, method, args))

    def _numbered(self, method: str, *args: object) -> tuple[int, bytes]:
        self._calls += 1
        return self._calls, self._encode(self._calls, False, method, args)

    def _answer(self, number: int) -> Any:
        """Return what the server answers to the call NUMBER; None: there is no such object."""
        while number not in self._answers:
            self._take(self._message())
        flags, result = self._answers.pop(number)
        if not flags:
            return result
        said = result[0] if isinstance(result, tuple | list) and result else result
        if str(said).rpartition(".")[2] == _NO_KEY:
            return None
        raise self._unreadable(f"{said}: {result[1] if isinstance(result, tuple | list) else ''}")

    def _take(self, message: bytes) -> None:
        """Keep what MESSAGE answers."""
        try:
            number, flags, name, result = self._decode(message)
            if name == ".reply":  # all else is told to every client: what others commit
                self._answers[number] = flags, result
        except (ValueError, TypeError, UnpicklingError, EOFError, LookupError, AttributeError) as e:
            raise self._unreadable(f"its answer cannot be read: {e}") from None

    def _send(self, *messages: bytes) -> None:
        framed = b"".join(len(each).to_bytes(4, "big") + each for each in messages)
        try:
            self._socket.sendall(framed)
        except OSError as why:
            raise self._unreadable(why.strerror or str(why)) from None

    def _message(self) -> bytes:
        length = int.from_bytes(self._exactly(4), "big")
        if length > _LONGEST:
            raise self._unreadable("something that is no ZEO server answers")
        return self._exactly(length)

    def _exactly(self, length: int) -> bytes:
        parts, left = [], length
        while left:
            try:
                part = self._socket.recv(left)
            except OSError as why:
                raise self._unreadable(why.strerror or str(why)) from None
            if not part:
                raise self._unreadable("it closed the connection")
            parts.append(part)
            left -= len(part)
        return b"".join(parts)

    def _unreadable(self, why: str) -> StorageUnreadable:
        return StorageUnreadable(
            f"storage {self._name}: the ZEO server {self._server} does not give it: {why}",
            hint=f"the log of {self._server} says why; zmount restart {self._server}",
        )


class _Names(Unpickler):  # type: ignore[misc]
    """Reads answers; of a class that one names, an exception's, it takes the name."""

    def find_class(self, module: str, name: str) -> object:
        return f"{module}.{name}"


def _decoded_pickle(message: bytes) -> Any:
    return _Names(io.BytesIO(message)).load()


def _connected(address: Address, tls: Tls | None, timeout_s: float) -> socket.socket:
    plain = connected_socket(address, timeout_s)
    if tls is None:
        return plain
    context: ssl.SSLContext = client_context(tls)
    name = tls.server_hostname or address.host or None
    try:
        return context.wrap_socket(plain, server_hostname=name)
    except OSError:
        plain.close()
        raise
