"""A public instance of two replicas is restarted, and no visitor notices."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from balancer import Visitors, balancing
from deployments import Deployment, free_port, wait_until

from zmount.effects.answers import ask_http
from zmount.effects.draining import draining, takes_visitors
from zmount.effects.history import Search, entries, history_file
from zmount.effects.zope_requests import ALIVE
from zmount.operations.local_processes import LocalProcesses
from zmount.plan.directories import directories
from zmount.render.files import generated_files

TWO = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage pub-root/>
<instance pub>
  http-address PORT
  replicas 2
  root pub-root
  zcml slowpage
  <environment>
    PYTHONPATH {directory}/src
  </environment>
</instance>
"""
# a page that takes longer than balancers are given to look
SLOW = """
import time
from Products.Five.browser import BrowserView

class Slow(BrowserView):
    def __call__(self):
        time.sleep(1.5)
        return "slow"

class Large(BrowserView):
    def __call__(self):
        return "x" * 3_000_000
"""
ZCML = """
<configure xmlns="http://namespaces.zope.org/browser">
  <page name="slow" for="*" class="slowpage.Slow" permission="zope.Public" />
  <page name="large" for="*" class="slowpage.Large" permission="zope.Public" />
</configure>
"""
PATHS = [("GET", "/@@slow"), ("POST", "/@@slow"), ("GET", "/@@large"), ("GET", "/"), ("POST", "/")]


@pytest.fixture(scope="module")
def deployment() -> Iterator[Deployment]:
    """Two replicas that run, at ``port`` and the one after it."""
    directory = Path(tempfile.mkdtemp(prefix="zm-"))
    port = free_port()
    deployment = Deployment(directory, TWO.replace("PORT", str(port)))
    deployment.port = port
    package = directory / "src" / "slowpage"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(SLOW)
    (package / "configure.zcml").write_text(ZCML)
    deployment.write_files()
    yield deployment
    deployment.end_all()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def pub(deployment: Deployment) -> Deployment:
    """The same, up whatever the test before left."""
    deployment.write_files()
    started = deployment.zmount("start")
    assert started.returncode == 0, started.stderr
    return deployment


def pids(deployment: Deployment) -> dict[str, int | None]:
    """Return which processes run the replicas."""
    local = LocalProcesses(topology=deployment.topology, host=deployment.host)
    return {each.name: local.manager.observe(each).pid for each in local.all if not each.is_zeo}


def event_log(deployment: Deployment) -> str:
    """Return the end of what both replicas logged."""
    logs = deployment.directory.glob("pub_client*/log/event.log")
    return "\n".join(log.read_text()[-3000:] for log in sorted(logs))


def test_no_request_fails_while_both_replicas_are_restarted(pub: Deployment):
    before = pids(pub)
    ends = [("127.0.0.1", pub.port), ("127.0.0.1", pub.port + 1)]
    with balancing(*ends) as balancer, Visitors(balancer.port, PATHS) as visitors:
        wait_until(lambda: len(visitors.answers) > 50, "visitors come")
        done = pub.zmount("restart", "--rolling", "pub", "--drain", "2")
        answered = len(visitors.answers)
        wait_until(lambda: len(visitors.answers) > answered + 50, "visitors come still")

    assert done.returncode == 0, done.stderr
    assert visitors.failed == [], event_log(pub)
    assert balancer.least_ready == 1
    assert {who for _, who, _ in visitors.answers} == {f"{host}:{port}" for host, port in ends}
    after = pids(pub)
    assert None not in after.values()
    assert not set(before.values()) & set(after.values())
    assert "cut off" not in done.stderr


def test_the_liveness_page_says_503_to_balancers_only_while_it_drains(pub: Deployment):
    local = LocalProcesses(topology=pub.topology, host=pub.host)
    first = local.all[1]
    replica, pid = first.noun, local.manager.observe(first).pid

    with draining(replica, pid) as drain:
        drain.intend()
        assert ask_http(first.address, ALIVE).status == 200
        assert takes_visitors(first.address)
        assert not takes_visitors(first.address, and_goes_on=True)
        drain.begin()
        assert ask_http(first.address, ALIVE).status == 503
        assert ask_http(first.address, "/").status == 200
        assert ask_http(local.all[2].address, ALIVE).status == 200
    assert ask_http(first.address, ALIVE).status == 200
    with draining(replica, pid + 1) as drain:  # what a crash left is not about this process
        drain.begin()
        assert ask_http(first.address, ALIVE).status == 200


def test_the_second_is_not_touched_if_the_first_does_not_come_back(pub: Deployment):
    before = pids(pub)
    conf = Path(pub.process("pub-1").directory) / "etc" / "site.zcml"
    conf.write_text(conf.read_text().replace("slowpage", "nopage"))

    done = pub.zmount("restart", "--rolling", "--drain", "0")

    assert done.returncode == 8
    assert "left as they are: pub-2" in done.stderr
    assert pids(pub)["pub-2"] == before["pub-2"]
    assert ask_http(pub.process("pub-2").address, ALIVE).status == 200


def test_the_last_one_that_takes_visitors_is_not_restarted(pub: Deployment):
    before = pids(pub)
    assert pub.zmount("stop", "pub-2").returncode == 0

    done = pub.zmount("restart", "--rolling", "pub-1", "--drain", "0")

    assert done.returncode == 8
    assert "no other process of pub takes visitors" in done.stderr
    entry = list(entries(history_file(pub.conf), Search(operation="restart")))[-1]
    assert (entry.arguments, entry.result) == ({"rolling": True}, "failed")
    assert pids(pub)["pub-1"] == before["pub-1"]


def test_a_zeo_server_is_refused(pub: Deployment):
    done = pub.zmount("restart", "--rolling", "zeo")

    assert done.returncode == 8
    assert "there is no other that takes over" in done.stderr


TWO_HOSTS = """
<host one>
  address 127.0.0.1
  directory one
</host>
<host two>
  address 127.0.0.2
  directory two
</host>
<zeo zeo>
  host one
  address 127.0.0.1:{port2}
</zeo>
<storage pub-root/>
<instance pub>
  host one two
  http-address 127.0.0.1:{port}
  root pub-root
</instance>
"""


def write_files_of(deployment: Deployment, name: str) -> None:
    """Write a host's files, without check, which knows that two hosts are no one machine."""
    host = deployment.topology.host(name)
    files = generated_files(deployment.topology, host)
    for directory in directories(deployment.topology, host, [file.path for file in files]):
        Path(directory.path).mkdir(mode=directory.mode, exist_ok=True)
    for file in files:
        Path(file.path).write_text(file.text)


def rolling(deployment: Deployment, host: str) -> subprocess.Popen[str]:
    """Begin a rolling restart on HOST."""
    zmount = [sys.executable, "-m", "zmount", "-f", str(deployment.conf), "--host", host]
    return subprocess.Popen(
        [*zmount, "restart", "--rolling", "--drain", "2"], stderr=subprocess.PIPE, text=True
    )


def test_two_hosts_that_restart_at_the_same_moment_take_turns(short_directory: Path):
    deployment = Deployment(short_directory, TWO_HOSTS)
    ends = [("127.0.0.1", deployment.port), ("127.0.0.2", deployment.port)]
    try:
        for host in ("one", "two"):
            write_files_of(deployment, host)
            done = deployment.zmount("--host", host, "start")
            assert done.returncode == 0, done.stderr
        with balancing(*ends) as balancer, Visitors(balancer.port, [("GET", "/")] * 2) as visitors:
            restarts = [rolling(deployment, host) for host in ("one", "two")]
            told = [restart.communicate(timeout=120)[1] for restart in restarts]
        assert [restart.returncode for restart in restarts] == [0, 0], told
        assert visitors.failed == []
        assert balancer.least_ready == 1
    finally:
        deployment.end_all()
