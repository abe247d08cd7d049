"""Does a server really answer?

A process that runs and a port that is open prove little: a ZEO server is asked
for its state (``ruok``, ZEO's own health check), a Zope for its root. Any HTTP
status answers, also 404 or 500: the instance is up, whatever its content says.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import mktime_tz, parsedate_tz
from http import client
from pathlib import Path, PurePosixPath
from typing import Any

from zmount.topology.addresses import Address
from zmount.topology.zeo import Tls

RUOK = b"\x00\x00\x00\x04ruok"  # ZEO.asyncio.server: a message of four bytes
SILENT = "it says nothing"  # detail of one that did not answer in time
FORBIDDEN = os.strerror(errno.EACCES)  # detail of one whose socket is not for us
_BEGINNING = 200  # bytes of a page
_LARGEST_ANSWER = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said, or why it said nothing.

    ``clients`` holds, for a ZEO server, the number of connections of each
    storage that it serves; None where it did not tell. ``storages`` is all that it told
    of each (``ZEO.StorageServer.server_status``). ``status`` is that of HTTP, 0
    where none was said; ``date`` is when the answer was made by the server's clock, in
    seconds since the epoch, where HTTP told; ``text`` how the page begins that was asked for
    by its path.
    """

    is_answering: bool
    detail: str
    clients: Mapping[str, int] | None = None
    storages: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    status: int = 0
    date: float | None = None
    text: str = ""


def ask_zeo(address: Address, tls: Tls | None = None, *, timeout_s: float = 2.0) -> Answer:
    """Ask the ZEO server at ADDRESS how it is.

    TLS is the client's side. A server that refuses our certificate answers, too:
    it speaks TLS, and who may use its storages is not the question.
    """
    try:
        plain = connected_socket(address, timeout_s)
        with plain, _secured(plain, tls) if tls is not None else plain as connection:
            return _zeo_state(connection)
    except _ClosedError as error:
        # what asyncio does in TLS 1.3 where it should send an alert
        return _REFUSED if tls is not None else Answer(is_answering=False, detail=str(error))
    except ssl.SSLError as error:
        if "ALERT" in (error.reason or ""):
            return _REFUSED
        return Answer(is_answering=False, detail=f"TLS: {error.reason or error}")
    except OSError as error:
        return Answer(is_answering=False, detail=_reason(error))


def ask_http(address: Address, path: str = "", *, timeout_s: float = 2.0) -> Answer:
    """Ask the HTTP server at ADDRESS for PATH, or for the head of its root."""
    connection = _HTTPConnection(address, timeout_s)
    try:
        connection.request("GET" if path else "HEAD", path or "/", headers={"User-Agent": "zmount"})
        answer = connection.getresponse()
        said = f"HTTP {answer.status} {answer.reason}".rstrip()
        date = parsedate_tz(answer.headers.get("Date", ""))
        return Answer(
            is_answering=True,
            detail=said,
            status=answer.status,
            date=mktime_tz(date) if date is not None else None,
            text=answer.read(_BEGINNING).decode("utf-8", "replace"),
        )
    except OSError as error:
        return Answer(is_answering=False, detail=_reason(error))
    except client.HTTPException as error:
        return Answer(is_answering=False, detail=f"no HTTP: {type(error).__name__}")
    finally:
        connection.close()


class _ClosedError(OSError):
    """The server closed the connection where it should have said something."""


_REFUSED = Answer(is_answering=True, detail="ZEO over TLS; our certificate is refused")


def connected_socket(address: Address, timeout_s: float) -> socket.socket:
    """Return a connection to ADDRESS, whose every step may take TIMEOUT_S seconds.

    :raises OSError: nobody listens there, or it takes longer
    """
    if address.socket is None:
        return socket.create_connection((address.host, address.port), timeout=timeout_s)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout_s)
    try:
        connection.connect(str(address.socket))
    except OSError:
        connection.close()
        raise
    return connection


def _secured(plain: socket.socket, tls: Tls) -> ssl.SSLSocket:
    """Speak TLS; whose certificate the server shows is for its clients to judge."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if _is_readable(tls.certificate) and (tls.key is None or _is_readable(tls.key)):
        # "" and not None: OpenSSL would else ask for a passphrase on the terminal
        passphrase = tls.passphrase.reveal() if tls.passphrase is not None else ""
        try:
            context.load_cert_chain(
                str(tls.certificate), str(tls.key or tls.certificate), passphrase
            )
        except ssl.SSLError:
            pass  # the passphrase comes from a function in the instances' environment
    return context.wrap_socket(plain)


def _is_readable(path: PurePosixPath) -> bool:
    try:
        with Path(path).open("rb"):
            return True
    except OSError:
        return False


def _zeo_state(connection: socket.socket) -> Answer:
    greeting = _message(connection)
    if greeting[:1] not in (b"Z", b"M") or not greeting[1:].isdigit():
        return Answer(is_answering=False, detail="something that is no ZEO server answers")
    connection.sendall(RUOK)
    try:
        state: dict[str, dict[str, Any]] = json.loads(_message(connection))
    except ValueError:
        return Answer(is_answering=False, detail="something that is no ZEO server answers")
    return Answer(
        is_answering=True,
        detail=f"ZEO, protocol {greeting.decode()}",
        clients={name: int(said.get("connections", 0)) for name, said in state.items()},
        storages=state,
    )


def _message(connection: socket.socket) -> bytes:
    length = int.from_bytes(_exactly(connection, 4), "big")
    if length > _LARGEST_ANSWER:
        raise OSError("something that is no ZEO server answers")
    return _exactly(connection, length)


def _exactly(connection: socket.socket, length: int) -> bytes:
    read = b""
    while len(read) < length:
        part = connection.recv(length - len(read))
        if not part:
            raise _ClosedError("it closed the connection")
        read += part
    return read


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return SILENT
    if isinstance(error, (ConnectionRefusedError, FileNotFoundError)):
        return "nothing listens there"
    return error.strerror or str(error)


class _HTTPConnection(client.HTTPConnection):
    """Speaks HTTP to a TCP address or a unix socket."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        super().__init__(address.host or "localhost", address.port or None, timeout=timeout_s)
        self._address = address
        self._timeout_s = timeout_s

    def connect(self) -> None:
        self.sock = connected_socket(self._address, self._timeout_s)
