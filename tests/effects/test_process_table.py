"""What /proc tells of processes that the test made itself."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path, PurePosixPath

import pytest

from zmount.effects.process_table import (
    Owner,
    command_line,
    is_alive,
    listener,
    memory_bytes,
    started_at,
)
from zmount.topology.addresses import Address


@pytest.mark.parametrize("wanted", ["127.0.0.1", "localhost", "0.0.0.0", ""])
def test_a_port_is_in_use_by_who_listens_there(wanted: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = listener(Address(host=wanted, port=server.getsockname()[1]))

    assert found is not None
    assert found.pid == os.getpid()


def test_who_listens_everywhere_is_in_the_way_of_one_address() -> None:
    with socket.create_server(("", 0)) as server:
        found = listener(Address(host="127.0.0.1", port=server.getsockname()[1]))

    assert found is not None


def test_another_address_of_the_same_port_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert listener(Address(host="127.0.0.2", port=server.getsockname()[1])) is None


def test_ipv6_addresses_are_read_in_the_machines_order() -> None:
    try:
        server = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6 loopback interface")
    with server:
        port = server.getsockname()[1]
        found = listener(Address(host="::1", port=port))
        other = listener(Address(host="127.0.0.1", port=port))

    assert (found is not None, other) == (True, None)


def test_a_port_that_was_listened_at_is_free_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    assert listener(Address(host="127.0.0.1", port=port)) is None


def test_a_unix_socket_is_in_use_by_who_listens_there(short_directory: Path) -> None:
    path = short_directory / "with a blank"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        found = listener(Address(socket=PurePosixPath(path)))

    assert found is not None
    assert found.pid == os.getpid()


def test_the_file_of_a_dead_unix_socket_is_in_nobodys_use(short_directory: Path) -> None:
    path = short_directory / "socket"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

    assert path.exists()
    assert listener(Address(socket=PurePosixPath(path))) is None


def test_an_owner_names_its_program() -> None:
    assert str(Owner(pid=7, command=("runzeo", "-C", "zeo.conf"))) == "pid 7 (runzeo -C zeo.conf)"


def test_a_process_has_an_age_a_size_and_a_command() -> None:
    program = [sys.executable, "-c", "input('I run')"]
    asked = time.time()
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.read(5)  # in the middle of its exec the kernel knows no command line
        began = started_at(child.pid)
        size = memory_bytes(child.pid)
        command = command_line(child.pid)
        child.communicate(b"\n")

    assert command == tuple(program)
    assert began is not None
    assert asked - 0.05 < began < time.time() + 0.05  # the kernel counts in ticks of 0.01 s
    assert size is not None
    assert size > 100_000


def test_a_process_that_its_parent_has_not_waited_for_is_dead() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read()  # until it ends
    deadline = time.monotonic() + 5
    while is_alive(child.pid) and time.monotonic() < deadline:
        time.sleep(0.01)

    assert (is_alive(child.pid), Path(f"/proc/{child.pid}").exists()) == (False, True)
    child.wait()
    child.stdout.close()


def test_of_a_process_that_is_gone_nothing_is_known() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()

    known = (is_alive(child.pid), started_at(child.pid), memory_bytes(child.pid))
    assert known == (False, None, None)
