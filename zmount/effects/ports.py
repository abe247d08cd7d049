"""TCP ports that are free on this machine's loopback interface."""

from __future__ import annotations

import socket


def free_ports(wanted: tuple[int, ...]) -> tuple[int, ...]:
    """Return a free port for each of WANTED: that one if nobody has it, else another.

    A port that is free now can be taken by the time it is used; whoever binds
    it then says so.
    """
    held: list[socket.socket] = []
    try:
        for port in wanted:
            held.append(_bound(port))
        return tuple(each.getsockname()[1] for each in held)
    finally:
        for each in held:
            each.close()


def _bound(port: int) -> socket.socket:
    for candidate in (port, 0):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", candidate))
        except OSError:
            listener.close()
        else:
            return listener
    raise OSError("no port is free on 127.0.0.1")
