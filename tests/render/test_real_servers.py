"""ZEO and Zope run from what is generated, in a directory with an odd name."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployments import Deployment, wait_until

from zmount.topology.processes import Process

# systemd's manager, because zdaemon cannot be told of a blank
TOPOLOGY = """
manager systemd
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage content/>
<access-log>
  format %(message)s 100%%
</access-log>
<instance pub>
  http-address {port}
  zcml Products.Five-meta
  zcml-additional more.zcml
  resources resources
  locales locales
  <environment>
    GREETING grüß % $$x
  </environment>
  <waitress>
    channel-timeout 30
  </waitress>
  <mount content>
    mount-point /content
  </mount>
</instance>
"""
ADDITIONAL = """
<configure xmlns="http://namespaces.zope.org/browser">
  <resource name="additional.txt" file="resources/hello.txt" />
</configure>
"""


@pytest.fixture
def odd(short_directory: Path) -> Iterator[Deployment]:
    directory = short_directory / "a $ ü"
    directory.mkdir()
    deployment = Deployment(directory, TOPOLOGY)
    deployment.write_files()
    (directory / "resources").mkdir()
    (directory / "resources" / "hello.txt").write_text("hello")
    (directory / "locales" / "de" / "LC_MESSAGES").mkdir(parents=True)
    (directory / "more.zcml").write_text(ADDITIONAL)
    yield deployment
    deployment.end_all()


def start(process: Process) -> subprocess.Popen[str]:
    said = {name: str(values[-1]) for name, values in process.environment.items_}
    return subprocess.Popen(
        process.program,
        cwd=process.directory,
        env={**os.environ, **said},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def get(deployment: Deployment, path: str) -> str:
    """Return what the Zope answers, "" while it does not."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{deployment.port}{path}", timeout=5) as it:
            return it.read().decode()
    except urllib.error.URLError:
        return ""


def rotate(deployment: Deployment) -> None:
    program = shutil.which("logrotate", path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert program, "logrotate is needed for this test: apt install logrotate"
    conf = deployment.directory / "etc" / "logrotate.conf"
    conf.chmod(0o644)
    state = str(deployment.directory / "state")
    subprocess.run([program, "--force", "--state", state, str(conf)], check=True)


def test_they_start_answer_rotate_their_logs_and_end_cleanly(odd: Deployment):
    zeo, pub = odd.process("zeo"), odd.process("pub")
    log, zope_log = Path(str(zeo.log.path)), Path(str(pub.log.path))
    access_log = zope_log.with_name("access.log")
    server = start(zeo)
    wait_until(lambda: Path(str(zeo.address)).exists(), "ZEO listens")
    zope = start(pub)
    wait_until(lambda: get(odd, "/"), "Zope answers", timeout_s=60)

    assert get(odd, "/++resource++resources/hello.txt") == "hello"
    assert get(odd, "/++resource++additional.txt") == "hello"
    assert access_log.read_text().splitlines()[-1].endswith(" 100%")

    rotate(odd)
    get(odd, "/")
    wait_until(lambda: "reopened" in log.read_text(), "ZEO writes to a new log")
    wait_until(lambda: "GET /" in access_log.read_text(), "Zope writes to a new log")
    assert log.with_name("zeo.log.1").exists() and access_log.with_name("access.log.1").exists()

    zope.send_signal(getattr(signal, f"SIG{pub.stop_signal}"))
    assert zope.wait(timeout=30) == 0, zope.communicate()[0]
    server.send_signal(getattr(signal, f"SIG{zeo.stop_signal}"))
    assert server.wait(timeout=30) == 0, server.communicate()[0]
    assert (odd.directory / "pub_client" / "var" / "Data.fs.index").exists()
