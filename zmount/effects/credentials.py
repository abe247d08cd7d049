"""Who zmount is when it speaks with a running instance.

The environment's ``ZMOUNT_ADMINISTRATOR``, ``NAME:PASSWORD``, goes before the topology's
administrator with his password from there or from ``etc/administrator``. A password
is never on a command line, where every user of the machine could read it.
"""

from __future__ import annotations

import os
import stat
from http.cookiejar import CookieJar

from zmount.effects.administrator_file import administrator_file, known_password
from zmount.effects.zope_http import ZopeClient
from zmount.errors import AccessRefused
from zmount.topology.addresses import Address
from zmount.topology.hosts import Host
from zmount.topology.topology import Topology

VARIABLE = "ZMOUNT_ADMINISTRATOR"


def administrator_client(
    topology: Topology, host: Host, address: Address, *, cookies: CookieJar | None = None
) -> ZopeClient:
    """Return a client of the instance at ADDRESS that is logged in as its administrator.

    COOKIES are those of other clients that shall be the same browser.

    :raises AccessRefused: nobody said who that is, or others may read the password
    """
    name, password = _name_and_password(topology, host)
    return ZopeClient(address, user=name, password=password, cookies=cookies)


def _name_and_password(topology: Topology, host: Host) -> tuple[str, str]:
    name, colon, password = os.environ.get(VARIABLE, "").partition(":")
    if colon:
        return name, password
    if name:
        raise AccessRefused(f"{VARIABLE} has no password", hint="NAME:PASSWORD")
    if topology.administrator is not None:
        _must_be_private(topology, host)
        known = known_password(topology.administrator, host)
        if known is not None:
            return topology.administrator.name, known.reveal()
    raise AccessRefused(
        "nobody said who the administrator of the instances is",
        hint=f"set {VARIABLE}=NAME:PASSWORD in the environment, or write that line into "
        f"{administrator_file(host)} (mode 0600) and say administrator NAME in zmount.conf",
    )


def _must_be_private(topology: Topology, host: Host) -> None:
    assert topology.administrator is not None
    if topology.administrator.password is not None:
        return  # it stands in zmount.conf, which check looks at
    path = administrator_file(host)
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return  # reading it says why
    if mode & 0o077:
        raise AccessRefused(
            f"{path}: others may read the administrator's password (mode {mode:04o})",
            hint=f"chmod 600 {path}, and change the password",
        )
