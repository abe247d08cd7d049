"""What ``zmount health`` says of processes, answers over HTTP, generated files and clocks."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from checkups import deployed, look, read, reading, stopped, value
from crashing import killed_at
from deployments import ZEO_ONLY, Deployment, kill_manager, wait_until

from zmount.operations.apply import Wish, apply
from zmount.operations.plan_host import is_interrupted
from zmount.operations.start import start
from zmount.operations.status import observe_processes

RUN = """
<zeo zeo>
  address var/zeo.sock
  <runner>
    start-timeout 30
  </runner>
</zeo>
<storage content/>
<health>
  timeout 1s
</health>
"""
THERE = """
<host here>
  address 127.0.0.1
</host>
<host there>
  address 127.0.0.2
</host>
<zeo zeo>
  host here
  address 127.0.0.1:{port}
</zeo>
<storage content/>
<instance pub>
  host there
  http-address 127.0.0.2:{port2}
</instance>
<health>
  timeout 1s
  answer-time 300ms 600ms
</health>
"""
MINUTE_S = 60


class _Stranger(BaseHTTPRequestHandler):
    """Answers in the place of an instance on another host, whose clock may be wrong."""

    status = 200
    ahead_s = 0.0
    takes_s = 0.0

    def do_GET(self) -> None:
        time.sleep(self.takes_s)
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def date_time_string(self, timestamp: float | None = None) -> str:
        return formatdate(time.time() + self.ahead_s, usegmt=True)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def _answering(deployment: Deployment, **how: float) -> Iterator[None]:
    """Something answers at the address of the instance on the other host."""
    handler = type("Handler", (_Stranger,), how)
    with ThreadingHTTPServer(("127.0.0.2", deployment.port2), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def there() -> Iterator[Deployment]:
    """A deployment on two hosts; nothing runs."""
    with deployed(THERE) as deployment:
        yield deployment


@pytest.mark.parametrize("ahead_s", [10, -10, 5 * MINUTE_S, -5 * MINUTE_S])
def test_the_clock_of_another_host_that_is_wrong_is_told(there: Deployment, ahead_s: float) -> None:
    with _answering(there, ahead_s=ahead_s):
        found = read(there, "clock", "there")

    assert found.state == ("warning" if abs(ahead_s) == 10 else "critical")
    apart = value(found, "clock_difference_seconds")
    assert abs(ahead_s) - 2 < apart <= abs(ahead_s)
    assert "its clock is " in found.sentence


def test_a_clock_that_is_right_is_ok_though_http_tells_whole_seconds(there: Deployment) -> None:
    """And though an answer takes its time: that is no difference."""
    with _answering(there, takes_s=0.7):
        found = [read(there, "clock", "there") for _ in range(3)]

    assert {each.state for each in found} == {"ok"}
    assert max(value(each, "clock_difference_seconds") for each in found) < 0.3


@pytest.mark.parametrize(
    ("how", "state", "said"),
    [
        ({}, "ok", "answers at 127.0.0.2:"),
        ({"status": 404}, "ok", "; it has no zmount agent"),
        ({"status": 500}, "critical", ", but with HTTP 500 Internal Server Error"),
        ({"takes_s": 0.4}, "warning", "answers at "),
        ({"takes_s": 0.7}, "critical", "answers at "),
        ({"takes_s": 1.2}, "critical", "it says nothing within 1.0 s"),
    ],
)
def test_how_an_instance_elsewhere_answers(
    there: Deployment, how: dict[str, float], state: str, said: str
) -> None:
    with _answering(there, **how):
        found = read(there, "http", "pub")

    assert (found.state, said in found.sentence) == (state, True), found.sentence


def test_an_instance_elsewhere_that_is_down_is_critical(there: Deployment) -> None:
    found = look(there)

    http = reading(found, "http", "pub")
    assert http.state == "critical"
    assert http.sentence.endswith("nothing listens there")
    assert http.hint == "zmount status pub, on host there"
    assert not any(each.check in ("clock", "threads", "queue") for each in found.readings)


def test_a_process_that_is_restarted_hangs_or_lost_its_manager() -> None:
    with deployed(RUN) as deployment:
        start(deployment.topology, deployment.host, [], lambda _: None)
        well = read(deployment, "process", "zeo")
        deployment.rewrite(RUN.replace("start-timeout 30", "start-timeout 1"))
        time.sleep(1)
        with stopped(_pid(deployment)):
            hangs = read(deployment, "process", "zeo")
        before = _pid(deployment)
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: _pid(deployment) not in (0, before), "it was started again")
        wait_until(
            lambda: read(deployment, "zeo", "zeo").state != "critical", "it answers", timeout_s=20
        )
        restarted = read(deployment, "process", "zeo")
        kill_manager(deployment.process("zeo"))
        alone = read(deployment, "process", "zeo")

    assert (well.state, well.sentence.split(",")[0][:8]) == ("ok", "runs for")
    assert hangs.state == "critical"
    assert hangs.sentence.endswith(", but does not answer: it says nothing")
    assert hangs.hint == "zmount status zeo"
    assert (restarted.state, value(restarted, "restarts")) == ("warning", 1)
    assert "; its manager started it again 1 time" in restarted.sentence
    assert alone.state == "warning"
    assert alone.sentence.endswith("; its manager is gone: nothing restarts it")


def _pid(deployment: Deployment) -> int:
    (found,) = observe_processes(deployment.topology, deployment.host)
    return found.pid or 0


def test_what_is_started_on_demand_may_be_down() -> None:
    with deployed(RUN.replace("<runner>", "autostart off\n  <runner>")) as deployment:
        found = look(deployment)

    assert reading(found, "process", "zeo").state == "ok"
    assert reading(found, "zeo", "zeo").state == "ok"


def test_memory_is_judged_by_its_limit() -> None:
    text = RUN.replace("timeout 1s", "memory 1MB 10GB")
    with deployed(text) as deployment:
        start(deployment.topology, deployment.host, [], lambda _: None)
        found = read(deployment, "memory", "zeo")

    assert found.state == "warning"
    assert found.sentence.startswith("it holds ")
    assert value(found, "memory_bytes") > 10_000_000


def test_generated_files_changed_by_hand_or_not_as_the_topology_says() -> None:
    with deployed(ZEO_ONLY) as deployment:
        apply(deployment.topology, deployment.host, Wish(), print)
        well = read(deployment, "config", "localhost")
        conf = Path(deployment.process("zeo").directory / "etc/zeo.conf")
        conf.write_text(conf.read_text() + "# by hand\n")
        edited = read(deployment, "config", "localhost")
        conf.write_text(conf.read_text().removesuffix("# by hand\n"))
        deployment.rewrite(ZEO_ONLY + "<storage other/>\n")
        older = read(deployment, "config", "localhost")

    assert (well.state, value(well, "files_differing")) == ("ok", 0)
    assert edited.state == "warning"
    assert edited.sentence.endswith(f": {conf}")
    assert edited.hint == "zmount diff-config"
    assert older.state == "warning"
    assert str(conf) in older.sentence


def test_an_interrupted_apply_is_a_warning() -> None:
    with deployed(ZEO_ONLY) as deployment:
        apply(deployment.topology, deployment.host, Wish(), print)
        deployment.rewrite(ZEO_ONLY + "<storage other/>\n")
        topology, host = deployment.topology, deployment.host
        numbers = iter(range(0, 200, 10))
        while not is_interrupted(host):
            assert killed_at(next(numbers), lambda: apply(topology, host, Wish(), print))

        found = read(deployment, "config", "localhost")

    assert found.state == "warning"
    assert found.sentence.endswith("an apply was interrupted")
    assert found.hint == "zmount apply finishes it, zmount undo takes it back"
