"""What ``zmount health`` says of ZEO servers and their storages; each check made to fire."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from broken_mounts import running
from certificates import make_certificates
from checkups import (
    data_fs,
    deployed,
    fill,
    look,
    read,
    reading,
    silent,
    stopped,
    value,
)
from deployments import Deployment
from swapping import Swaps
from ZODB.FileStorage import FileStorage
from ZODB.utils import z64

CONF = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage content/>
<storage cut/>
<health>
  timeout 1s
</health>
"""
HOSTS = """
<host here>
  address 127.0.0.1
</host>
<host there>
  address 127.0.0.2
</host>
<health>
  timeout 2s
</health>
"""
TLS = """
%define certificates {certificates}
<zeo zeo>
  address 127.0.0.1:{port2}
  <ssl>
    certificate $certificates/server.pem
    key $certificates/server.key
    authenticate $certificates/client.pem
  </ssl>
</zeo>
<client>
  <ssl>
    certificate $certificates/client.pem
    key $certificates/client.key
    key-passphrase open sesame
    authenticate $certificates/server.pem
    server-hostname localhost
  </ssl>
</client>
<storage content/>
<instance pub>
  http-address {port}
  autostart off
  <mount content>
    mount-point /content
  </mount>
</instance>
"""


@pytest.fixture(scope="module")
def served() -> Iterator[Deployment]:
    """A deployment whose one ZEO server runs; each test has a storage of its own."""
    with deployed(CONF) as deployment:
        for name in ("content", "cut"):
            fill(deployment, name, number=1)
        with running(deployment, "zeo"):
            yield deployment


@pytest.fixture
def alone() -> Iterator[Deployment]:
    """A deployment whose ZEO server may be stopped and started; it does not run."""
    with deployed(CONF) as deployment:
        yield deployment


def _damage_root(path: Path) -> None:
    """Write over the header of the root's last record, which its server still knows."""
    file = FileStorage(str(path), read_only=True)
    head = z64 + file.lastTransaction()  # oid and tid: how its last record begins
    file.close()
    content = path.read_bytes()
    assert content.count(head) == 1
    with path.open("r+b") as written:
        written.seek(content.index(head))
        written.write(b"\x01" * 8)


def test_a_server_that_is_well_is_ok_in_everything(served: Deployment) -> None:
    found = look(served, "content")

    assert {each.check for each in found.readings} >= {
        "storage",
        "last-transaction",
        "clients",
        "conflicts",
        "commit-lock",
        "waiting",
        "lock-holder",
        "data-file",
        "index",
        "blobs",
        "free-space",
    }
    wrong = [each for each in found.readings if each.state != "ok"]
    assert [each.check for each in wrong] == ["process"]  # nobody keeps alive what a test runs
    size = value(reading(found, "storage", "content"), "size_bytes")
    assert size == data_fs(served, "content").stat().st_size


def test_a_stopped_server_is_critical_and_its_storages_files_are_still_looked_at(
    alone: Deployment,
) -> None:
    fill(alone, "content", number=1)

    found = look(alone)

    zeo = reading(found, "zeo", "zeo")
    assert (found.state, found.exit_status) == ("critical", 2)
    assert zeo.state == "critical"
    assert "nothing listens there; 2 storages cannot be reached" in zeo.sentence
    process = reading(found, "process", "zeo")
    assert (process.state, value(process, "up")) == ("critical", 0)
    assert process.sentence == "does not run"
    assert process.hint == "zmount start zeo"
    assert reading(found, "data-file", "content").state == "ok"
    assert not any(each.check == "storage" for each in found.readings)


def test_a_server_that_hangs_is_critical_after_one_time_out(alone: Deployment) -> None:
    with running(alone, "zeo") as children, stopped(children["zeo"].pid):
        found = look(alone)

    zeo = reading(found, "zeo", "zeo")
    assert (zeo.state, zeo.numbers) == ("critical", ())
    assert "it says nothing within 1.0 s" in zeo.sentence
    assert 1 <= found.seconds < 1.9
    assert reading(found, "data-file", "content").state == "ok"  # the kernel tells


def test_a_slow_server_is_judged_by_its_round_trip(alone: Deployment) -> None:
    with running(alone, "zeo") as children, stopped(children["zeo"].pid):
        wakes = threading.Timer(0.4, os.kill, (children["zeo"].pid, signal.SIGCONT))
        wakes.start()
        found = look(alone, only=("zeo",))
        wakes.join()

    zeo = reading(found, "zeo", "zeo")
    assert zeo.state == "warning"
    assert 0.3 < value(zeo, "round_trip_seconds") < 0.9


def test_forty_servers_and_forty_instances_that_are_down_cost_one_time_out() -> None:
    """All on another host, as if the cable to it was cut."""
    with silent(*[("127.0.0.2", 0)] * 80) as places:
        zeos, pubs = places[:40], places[40:]
        text = HOSTS + "".join(
            f"<zeo zeo{n}>\n  host there\n  address 127.0.0.2:{zeos[n][1]}\n</zeo>\n"
            f"<storage s{n}>\n  server zeo{n}\n</storage>\n"
            f"<instance pub{n}>\n  host there\n  http-address 127.0.0.2:{pubs[n][1]}\n"
            f"  <mount s{n}>\n    mount-point /s\n  </mount>\n</instance>\n"
            for n in range(40)
        )
        with deployed(text) as deployment:
            found = look(deployment)

    down = [each for each in found.readings if each.check in ("zeo", "http")]
    assert [each.state for each in down] == ["critical"] * 80
    assert 2 <= found.seconds < 4


def test_a_server_that_hangs_after_it_said_how_it_is_costs_one_time_out_more() -> None:
    """As one whose disk hangs: its first read blocks it, and so all that ask for others."""
    names = [f"s{n}" for n in range(30)]
    storages = "".join(f"<storage {name}/>\n" for name in names)
    text = "<zeo zeo>\n  address var/zeo.sock\n</zeo>\n<health>\n  timeout 1s\n</health>\n"
    with deployed(text + storages) as deployment, _hanging_after_ruok(deployment, names):
        found = look(deployment, only=("zeo", "storage"))

    assert reading(found, "zeo", "zeo").state == "ok"
    states = {each.state for each in found.readings if each.check == "storage"}
    assert states == {"critical", "unknown"}
    assert reading(found, "storage", "s0").state == "critical"
    assert reading(found, "storage", "s29").sentence.startswith("not asked for")
    assert found.seconds < 2  # and not 30 / 8 time-outs


@contextmanager
def _hanging_after_ruok(deployment: Deployment, names: list[str]) -> Iterator[None]:
    """Something at the server's address that answers ``ruok``, and then nobody."""
    state = json.dumps({name: {"connections": 0, "last-transaction": "0" * 16} for name in names})

    def answer_once() -> None:
        accepted, _ = listening.accept()
        with accepted:
            for message in (b"Z5", state.encode()):
                accepted.sendall(len(message).to_bytes(4, "big") + message)
            accepted.recv(100)

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(deployment.process("zeo").address.socket))
        listening.listen(64)
        thread = threading.Thread(target=answer_once)
        thread.start()
        yield
        thread.join()


def test_something_else_at_a_servers_address_is_no_server(alone: Deployment) -> None:
    place = str(alone.process("zeo").address.socket)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(place)
        listening.listen()
        greets = threading.Thread(target=_greet, args=(listening,))
        greets.start()
        found = look(alone, only=("zeo", "process"))
        greets.join()

    assert "something that is no ZEO server answers" in reading(found, "zeo", "zeo").sentence
    process = reading(found, "process", "zeo")
    assert process.state == "critical"
    assert f"pid {os.getpid()} (" in process.sentence


def _greet(listening: socket.socket) -> None:
    accepted, _ = listening.accept()
    with accepted:
        accepted.sendall(b"220 mail.example.org ESMTP\r\n")


def test_a_server_that_refuses_our_certificate_is_unknown(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    with deployed(TLS.replace("{certificates}", str(tmp_path))) as deployment:
        servers = Swaps(deployment)  # which asks them over TLS whether they are up
        try:
            servers.start("zeo")
            taken = look(deployment, only=("zeo", "storage"))
            make_certificates(tmp_path)  # the server knows those from before
            found = look(deployment, only=("zeo", "storage"))
        finally:
            servers.close()

    assert {each.check: each.state for each in taken.readings} == {"zeo": "ok", "storage": "ok"}
    zeo = reading(found, "zeo", "zeo")
    assert zeo.state == "unknown"
    assert "refuses our certificate" in zeo.sentence


def test_a_storage_that_the_server_does_not_serve_is_critical(served: Deployment) -> None:
    served.rewrite(CONF + "<storage extra/>\n")
    try:
        found = look(served)
    finally:
        served.rewrite(CONF)

    extra = reading(found, "storage", "extra")
    assert extra.state == "critical"
    assert extra.sentence == "the ZEO server zeo runs, but does not serve extra"
    assert reading(found, "storage", "content").state == "ok"
    assert reading(found, "lock-holder", "extra").state == "ok"
    file = reading(found, "data-file", "extra")
    assert file.state == "ok"
    assert file.sentence.endswith("is not there yet; zeo does not serve it")


def test_a_root_that_cannot_be_read_is_critical(alone: Deployment) -> None:
    fill(alone, "content", number=1)
    with running(alone, "zeo"):
        _damage_root(data_fs(alone, "content"))
        found = read(alone, "storage", "content")

    assert found.state == "critical"
    assert "does not give it" in found.sentence
    assert "zmount verify content" in found.hint


def test_a_data_fs_cut_under_its_server_is_critical(served: Deployment) -> None:
    path = data_fs(served, "cut")
    size = path.stat().st_size
    assert read(served, "storage", "cut").state == "ok"
    os.truncate(path, size - 10)

    found = read(served, "storage", "cut")

    assert found.state == "critical", found
    assert f"has {size - 10:,} bytes, its server says {size:,}" in found.sentence
    assert "zmount verify cut" in found.hint
