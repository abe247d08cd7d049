"""Which host of a topology this machine is."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from topologies import topology_of

from zmount.errors import UnknownName
from zmount.operations.this_host import this_host
from zmount.topology.topology import Topology


def hosts(directory: Path, *addresses: str) -> Topology:
    """Return a topology whose hosts one, two, three have ADDRESSES."""
    sections = "".join(
        f"<host {name}>\naddress {address}\n</host>\n"
        for name, address in zip(("one", "two", "three"), addresses, strict=False)
    )
    return topology_of(directory, f"{sections}<instance zope/>\n")


def test_the_only_host_is_this_machine_whatever_it_is_called(tmp_path: Path):
    assert this_host(hosts(tmp_path, "203.0.113.1")).name == "one"


def test_a_host_is_known_by_the_machines_name(tmp_path: Path):
    assert this_host(hosts(tmp_path, "203.0.113.1", socket.gethostname())).name == "two"


def test_a_host_can_be_said(tmp_path: Path):
    topology = hosts(tmp_path, "203.0.113.1", socket.gethostname())

    assert this_host(topology, "one").name == "one"
    with pytest.raises(UnknownName, match="no host 'four'"):
        this_host(topology, "four")


def test_a_machine_that_is_none_of_the_hosts_is_told_to_say_which(tmp_path: Path):
    with pytest.raises(UnknownName, match="none of the hosts one, two") as raised:
        this_host(hosts(tmp_path, "203.0.113.1", "203.0.113.2"))

    assert raised.value.hint == "--host one"


def test_a_machine_that_is_two_of_the_hosts_is_told_to_say_which(tmp_path: Path):
    name = socket.gethostname()

    with pytest.raises(UnknownName, match="more than one of the hosts one, two"):
        this_host(hosts(tmp_path, name, name))
