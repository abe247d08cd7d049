"""Rules about ports and sockets."""

from __future__ import annotations

import os
import socket

import pytest

from zmount.topology.checks.addresses import SOCKET_LIMIT

TWO_INSTANCES = """
directory /srv/zope
<instance one>
http-address {one}
</instance>
<instance two>
http-address {two}
</instance>
"""


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("8080", "8080"),
        ("8080", "localhost:8080"),
        ("127.0.0.1:8080", "[::1]:8080"),
        ("10.0.0.1:8080", ":8080"),
        (":8080", "10.0.0.1:8080"),
        ("0.0.0.0:8080", "*:8080"),
        ("Zope.example:8080", "zope.example:8080"),
    ],
)
def test_two_processes_on_one_port_are_an_error(finds, one, two):
    finds(TWO_INSTANCES.format(one=one, two=two), ("port-twice", f"http-address {two}"))


@pytest.mark.parametrize(
    ("one", "two"), [("8080", "8081"), ("127.0.0.1:8080", "10.0.0.1:8080"), ("8080", "./http")]
)
def test_two_processes_on_two_addresses_are_clean(finds, one, two):
    finds(TWO_INSTANCES.format(one=one, two=two))


def test_one_port_on_two_hosts_is_clean(finds):
    finds(
        """
        directory /srv/zope
        <host a/>
        <host b/>
        <instance one>
          host a
        </instance>
        <instance two>
          host b
        </instance>
        """
    )


def test_replicas_take_the_ports_after_the_first(finds):
    text = """
        directory /srv/zope
        <zeo zeo>
          address 8100
        </zeo>
        <storage root/>
        <instance pub>
          root root
          replicas 3
          http-address {}
        </instance>
        """
    finds(text.format(8098), ("port-twice", "http-address 8098"))
    finds(text.format(8097))


def test_a_zeo_server_and_an_instance_on_one_port_are_an_error(finds):
    finds(
        """
        directory /srv/zope
        <zeo zeo>
          address 8080
        </zeo>
        <storage root/>
        <instance pub>
          root root
        </instance>
        """,
        ("port-twice", "<instance pub>"),
    )


def test_two_processes_on_one_unix_socket_are_an_error(finds):
    finds(
        TWO_INSTANCES.format(one="/run/zope/http", two="/run/zope/./http"),
        ("socket-twice", "http-address /run/zope/./http"),
    )


def test_an_address_that_makes_no_sense_is_one_error(finds):
    finds(TWO_INSTANCES.format(one="eighty", two="8080"), ("address", "http-address eighty"))
    finds(
        TWO_INSTANCES.format(one="eighty", two="ninety"),
        ("address", "http-address eighty"),
        ("address", "http-address ninety"),
    )


def test_a_port_beyond_the_last_is_an_error(finds):
    finds(
        """
        directory /srv/zope
        <zeo zeo/>
        <storage root/>
        <instance pub>
          root root
          replicas 2
          http-address 65535
        </instance>
        """,
        ("port-range", "http-address 65535"),
    )


def test_a_port_of_roots_is_doubtful(finds):
    finds(TWO_INSTANCES.format(one="80", two="8080"), ("privileged-port", "http-address 80"))


@pytest.mark.parametrize(("length", "expected"), [(107, ()), (108, ("socket-path-long",))])
def test_a_unix_socket_has_a_path_of_107_bytes_at_most(finds, length, expected):
    path = "/run/" + "s" * (length - 5)
    finds(
        TWO_INSTANCES.format(one=path, two="8080"),
        *((rule, f"http-address {path}") for rule in expected),
    )


def test_the_bytes_of_a_sockets_path_count_and_not_its_letters(finds):
    path = "/run/" + "ß" * 60
    finds(TWO_INSTANCES.format(one=path, two="8080"), ("socket-path-long", path))


@pytest.mark.parametrize(
    ("manager", "length", "rules"),
    [
        ("zdaemon", 88, ()),
        ("zdaemon", 89, ("socket-path-long",)),
        ("systemd", 120, ()),
    ],
)
def test_zdaemons_own_socket_counts_too(finds, manager, length, rules):
    """var/zdsock, and the process id that zdaemon adds to the name for a moment."""
    directory = "/" + "d" * (length - 1)
    finds(
        f"manager {manager}\nuser zope\n<instance zope>\ndirectory {directory}\n</instance>\n",
        *((rule, f"directory {directory}") for rule in rules),
    )


def test_the_kernel_takes_no_longer_socket_than_the_rule(short_directory):
    room = SOCKET_LIMIT - len(os.fsencode(short_directory)) - 1
    with socket.socket(socket.AF_UNIX) as listener:
        with pytest.raises(OSError, match="too long"):
            listener.bind(str(short_directory / ("s" * (room + 1))))
        listener.bind(str(short_directory / ("s" * room)))


TWO_HOSTS = """
directory /srv/zope
<host server>
address {host_address}
</host>
<host client/>
<zeo zeo>
host server
address {address}
{ssl}
</zeo>
<storage root/>
{client}
<instance dev>
host client
root root
</instance>
"""
SSL = "<ssl>\ncertificate /etc/x.pem\nauthenticate /etc/y.pem\n</ssl>"


def two_hosts(address: str, *, host_address: str = "zeo.example", tls: bool = True) -> str:
    ssl = SSL if tls else ""
    client = f"<client>\n{ssl}\n</client>" if tls else ""
    return TWO_HOSTS.format(address=address, host_address=host_address, ssl=ssl, client=client)


@pytest.mark.parametrize("address", ["8100", ":8100", "zeo.example:8100", "0.0.0.0:8100"])
def test_a_server_that_others_can_reach_is_clean(finds, address):
    finds(two_hosts(address))


@pytest.mark.parametrize("address", ["/run/zeo.sock", "./zeo.sock"])
def test_a_unix_socket_cannot_be_reached_from_another_host(finds, address):
    finds(two_hosts(address), ("socket-across-hosts", f"address {address}"))


@pytest.mark.parametrize("address", ["127.0.0.1:8100", "localhost:8100", "[::1]:8100"])
def test_a_loopback_address_cannot_be_reached_from_another_host(finds, address):
    finds(two_hosts(address), ("loopback-across-hosts", f"address {address}"))


def test_a_host_that_calls_itself_localhost_cannot_be_reached(finds):
    finds(two_hosts(":8100", host_address="localhost"), ("loopback-across-hosts", "address :8100"))


def test_a_client_that_goes_another_way_is_not_judged(finds):
    text = two_hosts("127.0.0.1:8100").replace("<client>\n", "<client>\nserver tunnel:9100\n")
    finds(text)


def test_a_server_cannot_listen_on_another_hosts_address(finds):
    finds(
        two_hosts("client:8100"),
        ("address-of-other-host", "address client:8100"),
    )


@pytest.mark.parametrize("address", ["8100", ":8100", "10.0.0.7:8100"])
def test_a_server_on_the_network_without_tls_is_doubtful(finds, address):
    finds(two_hosts(address, tls=False), ("zeo-without-tls", f"address {address}"))


def test_a_server_on_the_loopback_interface_needs_no_tls(finds):
    finds("directory /srv/zope\n<zeo zeo/>\n<storage x/>\n<instance a>\nroot x\n</instance>\n")


def test_a_server_of_a_client_must_be_an_address(finds):
    text = two_hosts("8100").replace("<client>\n", "<client>\nserver nowhere\n")
    finds(text, ("address", "server nowhere"))


def waitress(*lines: str) -> str:
    told = "\n".join(("<waitress>", *lines, "</waitress>"))
    return f"directory /srv/zope\n<instance pub>\nhttp-address 127.0.0.1:8080\n{told}\n</instance>"


@pytest.mark.parametrize(
    "line", ["listen 127.0.0.1:8100 [::1]:8100", "port 8100", "unix-socket /srv/zope/http.sock"]
)
def test_a_zope_that_listens_where_zmount_does_not_look_for_it_is_an_error(finds, line):
    finds(waitress(line), ("listens-elsewhere", "http-address"))


@pytest.mark.parametrize("line", ["listen *:8080", "listen [::1]:8090 127.0.0.1:8080", "port 8080"])
def test_a_zope_may_listen_on_more_than_its_http_address(finds, line):
    finds(waitress(line))
