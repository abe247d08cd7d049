"""Where a server listens, and where its clients connect."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from zmount.errors import TopologyError

EVERYWHERE = ("", "0.0.0.0", "::", "*")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address (``host`` and ``port``) or a unix socket (``socket``).

    ``host`` is "" where the server listens on every interface. A socket's path
    is absolute and at most 107 bytes, the kernel's limit.
    """

    host: str = ""
    port: int = 0
    socket: PurePosixPath | None = None

    def __str__(self) -> str:
        if self.socket is not None:
            return str(self.socket)
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def is_everywhere(self) -> bool:
        """True if the server listens on all interfaces of its host."""
        return self.socket is None and self.host in EVERYWHERE

    @property
    def is_loopback(self) -> bool:
        """True if only processes of the same host can connect."""
        return self.socket is not None or self.host in LOOPBACK or self.host.startswith("127.")

    def plus(self, number: int) -> Address:
        """Return the address of the NUMBER-th replica after this one."""
        if self.socket is not None:
            path = self.socket
            return replace(self, socket=path.with_name(f"{path.stem}-{number + 1}{path.suffix}"))
        return replace(self, port=self.port + number)


def parse_address(text: str, *, default_host: str = "127.0.0.1") -> Address:
    """Return the address that TEXT names.

    ``8100`` is a port on DEFAULT_HOST, ``:8100`` one on every interface,
    ``host:8100`` and ``[::1]:8100`` are what they say; anything with a ``/`` is
    a unix socket.

    :raises TopologyError: TEXT is none of these
    """
    if "/" in text:
        return Address(socket=PurePosixPath(text))
    host, colon, port = text.rpartition(":")
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise TopologyError(
            f"{text!r} is not an address", hint="a port, host:port or the path of a unix socket"
        )
    if not colon:
        host = default_host
    return Address(host=host.strip("[]"), port=int(port))
