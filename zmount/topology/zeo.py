"""ZEO servers, and TLS on either side of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from zmount.topology.addresses import EVERYWHERE, Address
from zmount.topology.hosts import Host
from zmount.topology.logs import Log
from zmount.topology.options import Options, Secret
from zmount.topology.places import NOWHERE, Place
from zmount.topology.sections import RawSection

ZEO_KEYS = frozenset(
    "read-only invalidation-queue-size invalidation-age transaction-timeout "
    "client-conflict-resolution msgpack pid-filename".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """An ``<ssl>`` section, of a ZEO server or of its clients.

    ``authenticate`` is the file or directory of the certificates that the other
    side may show. The last two concern clients only.
    """

    certificate: PurePosixPath
    key: PurePosixPath | None = None
    passphrase: Secret | None = None
    password_function: str = ""
    authenticate: str = ""
    check_hostname: str = ""
    server_hostname: str = ""
    place: Place = field(default=NOWHERE, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeoServer:
    """A process that serves storages to instances.

    ``options`` are keys of :data:`ZEO_KEYS` for its ``<zeo>`` section,
    ``runner`` keys of zdaemon's ``<runner>``. ``eventlog`` replaces the
    generated ``<eventlog>`` where it is not None; ``imports`` are the packages
    it may need by ``%import``.
    """

    name: str
    host: Host
    directory: PurePosixPath
    address: Address
    venv: PurePosixPath
    log: Log
    tls: Tls | None = None
    options: Options = Options()
    runner: Options = Options()
    environment: Options = Options()
    eventlog: RawSection | None = None
    imports: tuple[str, ...] = ()
    user: str = ""
    autostart: bool = True
    place: Place = field(default=NOWHERE, compare=False, repr=False)

    @property
    def conf(self) -> PurePosixPath:
        """The generated zeo.conf."""
        return self.directory / "etc" / "zeo.conf"

    @property
    def pid_filename(self) -> PurePosixPath:
        """The file of its process id; a read-only server writes none."""
        return self.directory / self.options.text("pid-filename", "var/zeo.pid")

    def address_from(self, host: Host) -> Address:
        """Return the address that a client on HOST connects to."""
        if self.address.socket is not None or self.address.host not in EVERYWHERE:
            return self.address
        if host.name == self.host.name:
            # a server on :: listens to IPv6 only (asyncio)
            loopback = "::1" if self.address.host == "::" else "127.0.0.1"
            return Address(host=loopback, port=self.address.port)
        return Address(host=self.host.address, port=self.address.port)
