"""What this machine is called, and where it is reached."""

from __future__ import annotations

import ipaddress
import socket


def machine_names() -> frozenset[str]:
    """Return this machine's host names and its own IP addresses.

    Loopback names are left out: every machine has them.
    """
    name = socket.gethostname()
    names = {name, name.partition(".")[0], socket.getfqdn()}
    try:
        names |= {str(found[4][0]) for found in socket.getaddrinfo(name, None)}
    except OSError:
        pass  # a host name that does not resolve is still a name
    return frozenset(
        n for n in names if n != "localhost" and not n.startswith("127.") and n != "::1"
    )


def is_own_address(address: str) -> bool:
    """True if ADDRESS is an IP address of one of this machine's interfaces.

    A loopback address is none: every machine has it. A host name is none either:
    :func:`machine_names` knows those, without asking a name server.
    """
    try:
        version = ipaddress.ip_address(address).version
    except ValueError:
        return False
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))  # sends nothing: it only looks for a way there
        except OSError:
            return False
        # to one's own address one goes from that address
        own = str(probe.getsockname()[0])
    return own == address and not ipaddress.ip_address(address).is_loopback
