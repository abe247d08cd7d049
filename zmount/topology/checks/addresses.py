"""Rules about ports and sockets: who listens where, and who can reach it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePosixPath

from zmount.errors import TopologyError
from zmount.topology.addresses import EVERYWHERE, LOOPBACK, Address, parse_address
from zmount.topology.checks.claims import noun_place
from zmount.topology.findings import Finding, error, warning
from zmount.topology.hosts import Host
from zmount.topology.instances import Replica
from zmount.topology.places import Place
from zmount.topology.processes import Process, processes
from zmount.topology.topology import Topology
from zmount.topology.zeo import ZeoServer

SOCKET_LIMIT = 107  # bytes of a unix socket's path, Linux
# zdaemon binds NAME.PID first and renames it
ZDAEMON_SOCKET_LIMIT = SOCKET_LIMIT - len(".4194304")
FIRST_FREE_PORT = 1024  # below it, only root may listen


def ports_twice(topology: Topology) -> Iterator[Finding]:
    """Yield processes that would listen where another one listens already."""
    taken: dict[tuple[str, int], dict[str, Process]] = {}
    for process in processes(topology):
        address = process.address
        if address.socket is not None or not address.port:
            continue
        ours = _interface(address)
        others = taken.setdefault((process.host.address.lower(), address.port), {})
        other = others.get(ours) or others.get("") or (others and not ours and _any(others)) or None
        others.setdefault(ours, process)
        if other is not None:
            yield error(
                "port-twice",
                _place(process),
                f"{process.name} would listen on {address}, where {other.name} listens"
                + ("" if other.address == address else f" ({other.address})"),
                why="the second one to start finds the port in use",
                hint=f"another port here, or in line {_place(other).line}; replicas take "
                "consecutive ports",
            )


def _any(others: dict[str, Process]) -> Process:
    return next(iter(others.values()))


def _interface(address: Address) -> str:
    """Return what of the host ADDRESS listens on; "" is everything."""
    if address.host in EVERYWHERE:
        return ""
    return "127.0.0.1" if address.host in LOOPBACK else address.host.lower()


def ports_out_of_range(topology: Topology) -> Iterator[Finding]:
    """Yield ports that replicas count up to and that do not exist, or that only root has."""
    for process in processes(topology):
        port = process.address.port
        if process.address.socket is None and port > 65535:
            yield error(
                "port-range",
                _place(process),
                f"{process.name} would listen on port {port}",
                why="replicas take consecutive ports, and 65535 is the last one",
                hint="a lower http-address",
            )
        elif 0 < port < FIRST_FREE_PORT:
            yield warning(
                "privileged-port",
                _place(process),
                f"{process.name} would listen on port {port}",
                why=f"ports below {FIRST_FREE_PORT} are root's, and no ZEO or Zope runs as root",
                hint="a higher port, behind a web server or a redirection",
            )


def addresses_of_other_hosts(topology: Topology) -> Iterator[Finding]:
    """Yield processes that would listen on another host's address."""
    owners = {host.address.lower(): host for host in topology.hosts}
    for process in processes(topology):
        if process.address.socket is not None or process.address.is_loopback:
            continue
        owner = owners.get(process.address.host.lower())
        if owner is not None and owner.address.lower() != process.host.address.lower():
            yield error(
                "address-of-other-host",
                _place(process),
                f"{process.name} on {process.host.name} would listen on the address of "
                f"{owner.name}, {process.address}",
                why="a process can listen on its own host's addresses only",
                hint=f"{process.host.address}:{process.address.port}, or host {owner.name}",
            )


def sockets_too_long(topology: Topology) -> Iterator[Finding]:
    """Yield unix sockets whose path the kernel refuses."""
    for process in processes(topology):
        socket = process.address.socket
        if socket is not None and _length(socket) > SOCKET_LIMIT:
            yield error(
                "socket-path-long",
                _place(process),
                f"{process.name}: the path of its socket has {_length(socket)} bytes: {socket}",
                why=f"the kernel takes {SOCKET_LIMIT}",
                hint="a shorter path",
            )
        socket = process.zdaemon_socket
        if topology.manager == "zdaemon" and _length(socket) > ZDAEMON_SOCKET_LIMIT:
            yield error(
                "socket-path-long",
                noun_place(process).of("directory"),
                f"{process.name}: the path of zdaemon's socket has {_length(socket)} bytes: "
                f"{socket}",
                why=f"the kernel takes {SOCKET_LIMIT}, of which zdaemon uses "
                f"{SOCKET_LIMIT - ZDAEMON_SOCKET_LIMIT} for its process id",
                hint="a shorter directory, or socket-name in <runner>",
            )


def _length(path: PurePosixPath) -> int:
    return len(os.fsencode(str(path)))


def servers_out_of_reach(topology: Topology) -> Iterator[Finding]:
    """Yield ZEO servers that an instance on another host could not connect to."""
    for replica in topology.replicas:
        for server, place in _servers_of(replica):
            if _is_here(server.host, replica.host):
                continue
            address = server.address_from(replica.host)
            if address.socket is not None:
                yield error(
                    "socket-across-hosts",
                    server.place.of("address"),
                    f"zeo {server.name} listens on a unix socket on {server.host.name}, and "
                    f"instance {replica.instance.name} runs on {replica.host.name} "
                    f"(line {place.line})",
                    why="unix sockets do not leave their host",
                    hint=f"address {server.host.address}:8100",
                )
            elif address.is_loopback:
                yield error(
                    "loopback-across-hosts",
                    server.place.of("address"),
                    f"zeo {server.name} on {server.host.name} would be looked for at {address} "
                    f"by instance {replica.instance.name} on {replica.host.name} "
                    f"(line {place.line})",
                    why="that is the client's own host",
                    hint=f"address {server.host.name}:{address.port}, and an address in "
                    f"<host {server.host.name}> that other hosts know",
                )


def _servers_of(replica: Replica) -> Iterator[tuple[ZeoServer, Place]]:
    """Yield each server that REPLICA connects to where the server itself says."""
    seen = set()
    for mount in replica.instance.mounts:
        server = mount.storage.server
        if server is None or "server" in mount.client or server.name in seen:
            continue
        seen.add(server.name)
        yield server, replica.instance.place


def _is_here(one: Host, other: Host) -> bool:
    return one.name == other.name or one.address.lower() == other.address.lower()


def servers_open_to_the_network(topology: Topology) -> Iterator[Finding]:
    """Yield ZEO servers that answer the network and ask for no certificate."""
    for server in topology.zeo_servers:
        if server.tls is None and not server.address.is_loopback and server.address.port:
            yield warning(
                "zeo-without-tls",
                server.place.of("address"),
                f"zeo {server.name} answers everyone who reaches {server.address}",
                why="ZEO has no passwords: who can connect can read and write every object",
                hint="<ssl> in <zeo> and in <client>, or a loopback address",
            )


def servers_said_wrongly(topology: Topology) -> Iterator[Finding]:
    """Yield what <client> names as a server and is no address."""
    for instance in topology.instances:
        for mount in instance.mounts:
            for text in mount.client.get("server", ()):
                try:
                    parse_address(str(text))
                except TopologyError as why:
                    yield error("address", mount.place.of("server"), str(why), hint=why.hint)


def zopes_that_listen_elsewhere(topology: Topology) -> Iterator[Finding]:
    """Yield instances whose <waitress> does not listen on their http-address."""
    for replica in topology.replicas:
        address, told = replica.http_address, replica.instance.wsgi.waitress
        if address.socket is not None:
            is_there = told.text("unix_socket") == str(address.socket)
        else:
            listens = f"{told.text('listen')} {told.text('port')}".split()
            is_there = str(address.port) in (word.rpartition(":")[2] for word in listens)
        if is_there or not any(key in told for key in ("listen", "port", "unix_socket")):
            continue
        yield error(
            "listens-elsewhere",
            replica.instance.place.of("http-address"),
            f"{replica.name}: its <waitress> does not listen on its http-address, {address}",
            why="zmount start and status look for it there, and no other check knows of the rest",
            hint="http-address, and nothing of it in <waitress>",
        )


def _place(process: Process) -> Place:
    place = noun_place(process)
    return place.of("address" if process.is_zeo else "http-address")


RULES = (
    ports_twice,
    ports_out_of_range,
    addresses_of_other_hosts,
    sockets_too_long,
    servers_out_of_reach,
    servers_open_to_the_network,
    servers_said_wrongly,
    zopes_that_listen_elsewhere,
)
