"""A public instance of two replicas is restarted, and no visitor notices."""

from __future__ import annotations

import os
import random
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from balancer import Visitors, balancing
from deployments import Deployment, wait_until

from zmount.effects.answers import ask_http
from zmount.effects.draining import PAGE, draining
from zmount.operations.local_processes import LocalProcesses

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
    port = two_free_ports()
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


def two_free_ports() -> int:
    """Return the first of two ports that are free, and that no client gets by chance."""
    for port in random.Random(os.getpid()).sample(range(20_000, 30_000, 2), 100):
        try:
            for each in (port, port + 1):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", each))
        except OSError:
            continue
        return port
    raise AssertionError("no two ports are free")


def pids(deployment: Deployment) -> dict[str, int | None]:
    """Return which processes run the replicas."""
    local = LocalProcesses(topology=deployment.topology, host=deployment.host)
    return {each.name: local.manager.observe(each).pid for each in local.all if not each.is_zeo}


def test_no_request_fails_while_both_replicas_are_restarted(pub: Deployment):
    before = pids(pub)
    with balancing(pub.port, pub.port + 1) as balancer, Visitors(balancer.port, PATHS) as visitors:
        wait_until(lambda: len(visitors.answers) > 50, "visitors come")
        done = pub.zmount("restart", "--rolling", "pub", "--drain", "1")
        answered = len(visitors.answers)
        wait_until(lambda: len(visitors.answers) > answered + 50, "visitors come still")

    assert done.returncode == 0, done.stderr
    assert visitors.failed == []
    assert balancer.least_ready == 1
    assert {who for _, who, _ in visitors.answers} == {str(pub.port), str(pub.port + 1)}
    after = pids(pub)
    assert None not in after.values()
    assert not set(before.values()) & set(after.values())
    assert "cut off" not in done.stderr


def test_the_liveness_page_says_503_to_balancers_only_while_it_drains(pub: Deployment):
    local = LocalProcesses(topology=pub.topology, host=pub.host)
    first = local.all[1]
    replica, pid = first.noun, local.manager.observe(first).pid

    with draining(replica, pid):
        assert ask_http(first.address, PAGE).status == 503
        assert ask_http(first.address, "/").status == 200
        assert ask_http(local.all[2].address, PAGE).status == 200
    assert ask_http(first.address, PAGE).status == 200
    with draining(replica, pid + 1):  # what a crash left says nothing of this process
        assert ask_http(first.address, PAGE).status == 200


def test_the_second_is_not_touched_if_the_first_does_not_come_back(pub: Deployment):
    before = pids(pub)
    conf = Path(pub.process("pub-1").directory) / "etc" / "site.zcml"
    conf.write_text(conf.read_text().replace("slowpage", "nopage"))

    done = pub.zmount("restart", "--rolling", "--drain", "0")

    assert done.returncode == 8
    assert "left as they are: pub-2" in done.stderr
    assert pids(pub)["pub-2"] == before["pub-2"]
    assert ask_http(pub.process("pub-2").address, PAGE).status == 200


def test_the_last_one_that_takes_visitors_is_not_restarted(pub: Deployment):
    before = pids(pub)
    assert pub.zmount("stop", "pub-2").returncode == 0

    done = pub.zmount("restart", "--rolling", "pub-1", "--drain", "0")

    assert done.returncode == 8
    assert "no other process of pub takes visitors" in done.stderr
    assert pids(pub)["pub-1"] == before["pub-1"]


def test_a_zeo_server_is_refused(pub: Deployment):
    done = pub.zmount("restart", "--rolling", "zeo")

    assert done.returncode == 8
    assert "there is no other that takes over" in done.stderr
