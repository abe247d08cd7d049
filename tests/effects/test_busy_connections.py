"""Whether a server still sends, or has not read yet, as the kernel tells."""

from __future__ import annotations

import socket

from deployments import wait_until

from zmount.effects.process_table import busy_connections
from zmount.topology.addresses import Address


def test_a_connection_is_busy_as_long_as_bytes_are_on_their_way():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = Address(host="127.0.0.1", port=listening.getsockname()[1])
        with socket.create_connection((address.host, address.port)) as client:
            served, _ = listening.accept()
            with served:
                assert busy_connections(address) == 0
                client.sendall(b"a request that nobody reads")
                wait_until(lambda: busy_connections(address) == 1, "it is there")
                served.recv(1000)
                assert busy_connections(address) == 0
                served.setblocking(False)
                sent = served.send(b"x" * 20_000_000)  # more than the kernel takes at once
                assert busy_connections(address) == 1
                while sent > 0:
                    sent -= len(client.recv(1_000_000))
                wait_until(lambda: busy_connections(address) == 0, "all has arrived")
