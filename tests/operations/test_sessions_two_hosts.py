"""Sessions of public instances on two hosts, as each of the hosts can prove them.

Both hosts are this machine: its processes find each other as two machines' would.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from deployments import Deployment, free_port

from zmount.effects.zope_http import ZopeClient
from zmount.errors import ProcessFailed
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.sessions_plan import ProofPlan, ProofWish
from zmount.operations.sessions_proof import prove

CONF = """
administrator admin
references none
<host web1>
  address 127.0.0.1
  directory {directory}/1
</host>
<host web2>
  address 127.0.0.1
  directory {directory}/2
</host>
<zeo zeo>
  host web1
  address 127.0.0.1:{zeo}
</zeo>
<session/>
<storage root/pub/>
<instance pub1>
  kind public
  host web1
  root root/pub
  http-address 127.0.0.1:{port}
</instance>
<instance pub2>
  kind public
  host web2
  root root/pub
  http-address 127.0.0.1:{port2}
</instance>
<instance own>
  kind public
  host web2
  http-address 127.0.0.1:{own}
</instance>
"""


class TwoHosts(Deployment):
    """One zmount.conf, of which ``zmount --host`` does one host's part."""

    def on(self, host: str, *words: str, status: int = 0) -> str:
        """Run zmount as HOST; return what it printed."""
        done = self.zmount("--host", host, *words)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def proved(self, host: str) -> dict[str, Any]:
        """Return the evidence that HOST gives."""
        done = self.zmount("--host", host, "sessions", "--prove", "--yes", "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert found["is_proved"]
        return found

    def planned(self, host: str) -> ProofPlan:
        """Return what HOST would do to prove it."""
        wish = ProofWish(is_dry_run=True)
        topology = self.topology
        return prove(topology, topology.host(host), wish, lambda event: None, None).plan

    @contextmanager
    def said(self, old: str, new: str) -> Iterator[None]:
        """Let zmount.conf say NEW instead of OLD for a while; what runs goes on."""
        text = self.conf.read_text()
        self.conf.write_text(text.replace(old, new))
        try:
            yield
        finally:
            self.conf.write_text(text)

    def pids(self) -> dict[str, int | None]:
        """Return the pid of each process, by name."""
        return {
            process.name: local.manager.observe(process).pid
            for host in self.topology.hosts
            for local in [LocalProcesses(topology=self.topology, host=host)]
            for process in local.all
        }


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoHosts]:
    """Both hosts up; the second has got the first one's password of the administrator."""
    text = CONF.replace("{zeo}", str(free_port())).replace("{own}", str(free_port()))
    made = TwoHosts(tmp_path_factory.mktemp("s"), text)
    try:
        made.on("web1", "apply")
        made.on("web1", "start")
        etc = made.directory / "2/etc"
        etc.mkdir(parents=True)
        shutil.copy(made.directory / "1/etc/administrator", etc)
        made.on("web2", "apply")
        made.on("web2", "start")
        yield made
    finally:
        made.end_all()


def test_the_host_of_the_zeo_server_sees_its_restarts_outlived_on_the_other(
    hosts: TwoHosts,
) -> None:
    before = hosts.pids()

    proof = hosts.proved("web1")

    assert [[hit["process"] for hit in trial["hits"]] for trial in proof["tried"]] == [
        ["pub1"],
        ["pub1"],
        ["zeo"],
    ]
    for trial in proof["tried"]:
        assert [(each["process"], each["host"]) for each in trial["after"]] == [
            ("pub1", "web1"),
            ("pub2", "web2"),
            ("own", "web2"),  # its root is a file there, which web1 cannot read
        ]
        assert {each["value"] for each in trial["after"]} == {trial["value"]}
        assert [each["pid"] for each in trial["after"]][1:] == [before["pub2"], before["own"]]
    assert proof["plan"]["left_out"] == [
        "restart and kill of pub2, own: that is host web2's; zmount sessions --prove there"
    ]


def test_the_other_host_restarts_its_own_and_says_that_no_more_is_proved(hosts: TwoHosts) -> None:
    before = hosts.pids()

    said = hosts.on("web2", "sessions", "--prove", "--yes")

    assert "the session outlived 2 of 2 trials, seen at pub1, pub2, own\n" in said
    assert f"after: pub1, pid {before['pub1']} on host web1, shows " in said
    there = "that is host web1's; zmount sessions --prove there"
    assert f"not proved: restart and kill of pub1: {there}\n" in said
    assert f"not proved: restart of the ZEO server zeo: {there}\n" in said
    after = hosts.pids()
    assert (after["zeo"], after["pub1"]) == (before["zeo"], before["pub1"])
    assert {name for name in after if after[name] != before[name]} == {"pub2", "own"}


def test_a_host_with_nothing_but_the_zeo_server_proves_its_restart(hosts: TwoHosts) -> None:
    hosts.on("web1", "stop", "pub1")
    try:
        proof = hosts.proved("web1")
        named = hosts.on("web1", "sessions", "--prove", "pub2", "--yes", status=8)
    finally:
        hosts.on("web1", "start", "pub1")

    (tried,) = proof["tried"]
    assert [hit["process"] for hit in tried["hits"]] == ["zeo"]
    assert [each["process"] for each in tried["after"]] == ["pub2", "own"]
    assert "pub1: it is stopped" in proof["plan"]["left_out"]
    assert "try: the same command on host web2\n" in named


def test_a_process_that_does_not_answer_on_the_other_host_is_told(hosts: TwoHosts) -> None:
    port = str(free_port())
    with hosts.said(str(hosts.port2), port):
        plan = hosts.planned("web1")

    assert [process.name for process in plan.readers] == ["pub1", "own"]
    assert any(
        f"pub2 on host web2 shows: http://127.0.0.1:{port}" in each and "did not answer" in each
        for each in plan.left_out
    )


def test_an_address_that_only_the_other_host_knows_is_not_asked(hosts: TwoHosts) -> None:
    """At the same address here somebody else may listen, who would get the password."""
    name = f"address 127.0.0.1\n  directory {hosts.directory}/2"
    with hosts.said(name, name.replace("127.0.0.1", "192.0.2.7")):
        plan = hosts.planned("web1")

    assert [process.name for process in plan.readers] == ["pub1"]
    assert any(
        f"pub2 on host web2 shows: 127.0.0.1:{hosts.port2} is known on that host only" in each
        for each in plan.left_out
    )


def test_one_process_in_the_place_of_two_proves_nothing(hosts: TwoHosts) -> None:
    before = hosts.pids()
    with hosts.said(str(hosts.port2), str(hosts.port)):
        topology = hosts.topology

    with pytest.raises(ProcessFailed, match="pub1 and pub2 are one process"):
        prove(topology, topology.host("web1"), ProofWish(is_agreed=True), lambda e: None, None)
    assert hosts.pids() == before


def test_an_instance_with_another_administrator_is_left_out_and_told(hosts: TwoHosts) -> None:
    name, _, password = (hosts.directory / "1/etc/administrator").read_text().strip().partition(":")
    client = ZopeClient(hosts.process("own").address, user=name, password=password)
    client.post(
        "/acl_users/manage_users",
        **{
            "submit": "Change",
            "name": name,
            "password": "other",
            "confirm": "other",
            "roles:list": "Manager",
        },
    )

    plan = hosts.planned("web1")

    assert [process.name for process in plan.readers] == ["pub1", "pub2"]
    assert (
        "what own on host web2 shows: it does not let the administrator of this host in"
        in plan.left_out
    )


def test_no_host_reads_the_others_files(hosts: TwoHosts) -> None:
    """Where they have the same paths, a file that lies here is another one, or an old one."""
    seen = hosts.on("web1", "sessions")
    hosts.on("web1", "stop")
    try:
        away = hosts.on("web2", "sessions", status=23)
    finally:
        hosts.on("web1", "start")

    assert "own: its root cannot be read from host web1" in seen
    assert "the storage pub/session cannot be read from here" in away
    assert "zmount start zeo on host web1" in away
