"""What ``zmount health`` says of a real Zope: threads, queue, memory, caches, mounts."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from broken_mounts import Administrator, delete, replace_by_folder, running, start, stop
from checkups import data_fs, deployed, look, read, reading, stopped, value
from deployments import Deployment, wait_until
from visitors import LOOP, add_page, add_script, ask, spinning

from zmount.effects.draining import draining
from zmount.operations.prepare import prepare

LIMITS = "  request-time 300ms 1m\n  timeout 1s\n  answer-time 900ms 1s\n"
CONF = """
administrator admin
administrator-password a secret
<zeo zeo>
  address var/zeo.sock
</zeo>
<site x.org/>
<site y.org/>
<instance pub>
  http-address {port}
  threads 2
  <mount pub/x.org>
    <client>
      cache-path var/x.zec
      cache-size 1MB
    </client>
  </mount>
</instance>
<health>
%s</health>
"""
SITE = "/home/x.org"
SPIN = f"{SITE}/spin"


@pytest.fixture(scope="module")
def zope() -> Iterator[tuple[Deployment, dict[str, subprocess.Popen[bytes]]]]:
    """A deployment whose public instance runs, and what runs, by name."""
    with deployed(CONF % LIMITS) as deployment:
        prepare(deployment.topology, deployment.host)
        with running(deployment, "zeo", "pub") as children:
            add_page(deployment.port, SITE, "page", "this is x.org")
            add_script(deployment.port, SITE, "spin", LOOP)
            yield deployment, children


Running = tuple[Deployment, dict[str, subprocess.Popen[bytes]]]


@contextmanager
def _restarted_after(zope: Running) -> Iterator[None]:
    """Kill Zope after the block, and start it again: its threads never end."""
    deployment, children = zope
    try:
        yield
    finally:
        children["pub"].send_signal(signal.SIGKILL)
        stop(children, "pub")
        start(deployment, children, "pub")


@contextmanager
def _limits(deployment: Deployment, limits: str) -> Iterator[None]:
    usual = LIMITS.replace("  request-time 300ms 1m\n", "")
    deployment.rewrite(CONF % (usual + limits))
    try:
        yield
    finally:
        deployment.rewrite(CONF % LIMITS)


def test_a_zope_that_is_well_is_ok_in_everything(zope: Running) -> None:
    deployment, _ = zope

    found = look(deployment)

    checks = {each.check for each in found.readings if each.subject == "pub"}
    assert checks == {"process", "http", "threads", "queue", "memory", "client-cache", "mounts"}
    wrong = [each for each in found.readings if each.state != "ok"]
    assert {each.check for each in wrong} <= {"process"}, wrong  # nobody keeps it alive
    threads = reading(found, "threads", "pub")
    assert (value(threads, "threads_busy"), value(threads, "threads")) == (0, 2)
    assert reading(found, "queue", "pub").sentence == "no request had to wait in the last minute"
    assert reading(found, "mounts", "pub").sentence == "3 mounts right"


def test_a_named_storage_of_an_instance_is_known_to_be_the_instances(zope: Running) -> None:
    """Who looked only at the storage would not know who should have it open."""
    deployment, children = zope
    (root,) = (each.name for each in deployment.topology.storages if each.server is None)

    found = look(deployment, root)

    assert reading(found, "lock-holder", root).sentence == "pub holds its lock"
    assert reading(found, "data-file", root).state == "ok"
    (found_file,) = (each for each in found.readings if each.check == "data-file")
    assert str(data_fs(deployment, root)) in found_file.sentence
    assert children["pub"].poll() is None


def test_a_zope_that_drains_is_ok_and_takes_visitors_again_when_its_zmount_was_killed(
    zope: Running,
) -> None:
    deployment, children = zope
    replica = next(each for each in deployment.topology.replicas if each.name == "pub")
    pid = children["pub"].pid
    with draining(replica, pid) as drain:
        drain.begin()
        found = read(deployment, "http", "pub")
    killed = subprocess.Popen(["sleep", "0"])
    killed.wait()
    left = Path(replica.var / "zmount-draining")
    left.write_text(f"{pid} drains {killed.pid}\n")

    assert found.state == "ok"
    assert found.sentence.endswith("; it takes no visitors, for it is about to be restarted")
    assert "visitors" not in read(deployment, "http", "pub").sentence
    left.write_text(f"{pid} drains {os.getpid()}\n")  # as of somebody who lives
    assert "visitors" in read(deployment, "http", "pub").sentence
    left.unlink()


def test_a_thread_that_spins_is_told_with_its_path(zope: Running) -> None:
    deployment, _ = zope
    with _restarted_after(zope), spinning(deployment, "pub", deployment.port, [SPIN]):
        time.sleep(0.4)
        found = look(deployment, only=("threads", "http"))

    threads = reading(found, "threads", "pub")
    assert threads.state == "warning"
    assert threads.sentence.startswith("1 of 2 threads busy; the longest request lasts ")
    assert threads.sentence.endswith(f": {SPIN}")
    assert value(threads, "longest_request_seconds") >= 0.3
    assert threads.hint == "zmount spin pub"
    assert reading(found, "http", "pub").state != "critical"  # the other thread answers


def test_all_threads_busy_and_requests_that_wait(zope: Running) -> None:
    """The port is open all the time: who only connects would say that it is well."""
    deployment, _ = zope
    with (
        _limits(deployment, "  queue 1 2\n"),
        _restarted_after(zope),
        spinning(deployment, "pub", deployment.port, [SPIN, SPIN]),
    ):
        first = look(deployment, only=("threads", "http", "queue"))
        second = look(deployment, only=("http", "queue"))

    threads = reading(first, "threads", "pub")
    assert threads.state == "warning"  # though no request is older than its limit
    assert threads.sentence.startswith("2 of 2 threads busy; ")
    http = reading(first, "http", "pub")
    assert http.state == "critical"
    assert "it says nothing within 1.0 s" in http.sentence
    assert http.hint == "zmount spin pub"
    assert 1 <= first.seconds < 1.9
    queue = reading(second, "queue", "pub")  # the looks themselves waited
    assert queue.state in ("warning", "critical")
    assert value(queue, "queue_depth") >= 1
    assert "waited in the last minute" in queue.sentence


def test_a_zope_that_stands_still_costs_one_time_out_and_the_rest_is_looked_at(
    zope: Running,
) -> None:
    deployment, children = zope
    with stopped(children["pub"].pid):
        found = look(deployment)

    assert reading(found, "http", "pub").state == "critical"
    assert 1 <= found.seconds < 2.5
    assert reading(found, "zeo", "zeo").state == "ok"
    assert reading(found, "memory", "pub").state == "ok"
    assert ask(deployment.port, f"{SITE}/page").text == "this is x.org"


def test_memory_over_its_limit(zope: Running) -> None:
    deployment, _ = zope
    with _limits(deployment, "  memory 1MB 20MB\n"):
        found = read(deployment, "memory", "pub")

    assert found.state == "critical"
    assert value(found, "memory_bytes") > 20_000_000


def test_a_client_cache_that_is_none_or_too_large(zope: Running) -> None:
    deployment, _ = zope
    cache = Path(deployment.process("pub").directory / "var" / "x.zec")
    before = read(deployment, "client-cache", "pub")
    kept = cache.with_name("kept")
    cache.rename(kept)
    cache.write_bytes(b"something else")
    none = read(deployment, "client-cache", "pub")
    cache.write_bytes(kept.read_bytes())
    with cache.open("r+b") as file:
        file.truncate(5 * 1024 * 1024)
    large = read(deployment, "client-cache", "pub")
    kept.replace(cache)

    assert before.state == "ok"
    assert before.sentence.startswith("1 persistent cache, ")
    assert none.state == "warning"
    assert f"{cache} is no cache of a ZEO client" in none.sentence
    assert large.state == "warning"
    assert f"{cache} has 5.2 MB, its cache-size is 1.0 MB" in large.sentence
    assert large.hint == "zmount stop pub, remove that file, zmount start pub"


def test_broken_mounts_are_critical_and_told(zope: Running) -> None:
    deployment, _ = zope
    administrator = Administrator(deployment.port)
    delete(administrator, "/home/y.org")
    one = read(deployment, "mounts", "pub")
    replace_by_folder(administrator, SITE)

    found = read(deployment, "mounts", "pub")

    assert one.state == "critical"
    assert one.sentence == "1 of 3 mounts not right: /home/y.org missing"
    assert found.state == "critical"
    assert f"{SITE} shadowed" in found.sentence
    assert value(found, "mounts_wrong") == 2
    assert found.hint == "zmount mounts pub"


def test_a_stopped_zeo_server_is_told_and_so_are_the_mounts_that_it_takes(zope: Running) -> None:
    deployment, children = zope
    stop(children, "zeo")

    found = look(deployment)

    assert reading(found, "zeo", "zeo").state == "critical"
    mounts = reading(found, "mounts", "pub")
    assert mounts.state == "critical"
    assert reading(found, "http", "pub").state == "ok"  # its root is its own
    wait_until(lambda: children["pub"].poll() is None, "Zope still runs")
