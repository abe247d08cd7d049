"""Connections to ZEO servers, as a Zope makes them."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence

from ZEO.ClientStorage import ClientStorage
from ZEO.Exceptions import ClientDisconnected, ServerException

from zmount.effects.local_files import is_directory
from zmount.errors import StorageUnreadable
from zmount.topology.addresses import Address
from zmount.topology.storages import Storage
from zmount.topology.zeo import Tls

WAIT_S = 3
_CACHE_BYTES = 1_000_000  # a few records are read once each

# Without a handler of its own, logging prints their warnings to stderr.
for _name in ("ZEO", "ZODB", "txn"):
    logging.getLogger(_name).addHandler(logging.NullHandler())


def connected(storage: Storage, addresses: Sequence[Address], tls: Tls | None) -> ClientStorage:
    """Return a read-only connection to STORAGE at one of the ADDRESSES of its server.

    TLS is the client's side, with paths of this host.

    :raises StorageUnreadable: none of them gives it within :data:`WAIT_S`
    """
    server = storage.server.name if storage.server is not None else "unknown"
    options: dict[str, object] = {}
    if tls is not None:
        options["ssl"] = client_context(tls)
        options["ssl_server_hostname"] = tls.server_hostname or None
    try:
        return ClientStorage(
            [_family_address(address) for address in addresses],
            storage=storage.zeo_name,
            read_only=True,
            wait_timeout=WAIT_S,
            cache_size=_CACHE_BYTES,
            client_label="zmount",
            **options,
        )
    except (ClientDisconnected, ServerException, OSError) as error:
        raise StorageUnreadable(
            f"storage {storage.name}: the ZEO server {server} does not give it "
            f"within {WAIT_S} s: {error or type(error).__name__}",
            hint=f"the log of {server} says why; zmount restart {server}",
        ) from None


def client_context(tls: Tls) -> ssl.SSLContext:
    """Return what ZEO makes of a client's ``<ssl>`` section (``ZEO/zconfig.py``).

    :raises StorageUnreadable: a certificate or key cannot be used
    """
    trusted = tls.authenticate or None
    has_many = trusted is not None and is_directory(trusted)
    try:
        context = ssl.create_default_context(
            ssl.Purpose.SERVER_AUTH,
            cafile=None if has_many else trusted,
            capath=trusted if has_many else None,
        )
        # "" and not None: OpenSSL would else ask for a passphrase on the terminal
        passphrase = tls.passphrase.reveal() if tls.passphrase is not None else ""
        key = str(tls.key) if tls.key is not None else None
        context.load_cert_chain(str(tls.certificate), key, passphrase)
    except OSError as error:
        raise StorageUnreadable(
            f"the TLS certificate {tls.certificate} cannot be used: {error}"
        ) from None
    context.check_hostname = tls.check_hostname.lower() not in ("off", "no", "false", "0")
    return context


def _family_address(address: Address) -> tuple[str, int] | str:
    if address.socket is not None:
        return str(address.socket)
    return (address.host, address.port)
