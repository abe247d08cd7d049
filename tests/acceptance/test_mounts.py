"""A new deployment, prepared and started: visitors and developers see what they should."""

from __future__ import annotations

import base64
import http.cookiejar
import re
import signal
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from deployments import Deployment, wait_until

from zmount.effects.answers import ask_http, ask_zeo
from zmount.operations.prepare import prepare

CONF = """
administrator admin
administrator-password a secret
<zeo zeo>
  address var/zeo.sock
</zeo>
<site x.org/>
<site y.org/>
<session/>
<instance dev>
  kind development
  http-address {port}
</instance>
<instance pub>
  kind public
  http-address {port2}
</instance>
"""
PAGE = '<p tal:content="string:${context/absolute_url} ${context/title}">where, what</p>'
COUNTER = (
    "<p tal:define=\"s request/SESSION; n python:s.get('n', 0) + 1; x python:s.set('n', n)\""
    ' tal:content="string:visits=${n}">visits</p>'
)
Run = Callable[[str], subprocess.Popen[bytes]]


class Browser:
    """Somebody with cookies, at an instance; the administrator if he says so."""

    def __init__(self, port: int, *, is_administrator: bool = False) -> None:
        self.base = f"http://127.0.0.1:{port}"
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()),
        )
        if is_administrator:
            token = base64.b64encode(b"admin:a secret").decode()
            self.opener.addheaders = [("Authorization", f"Basic {token}")]

    def get(self, path: str) -> str:
        with self.opener.open(self.base + path, timeout=30) as answer:
            return str(answer.read().decode())

    def post(self, path: str, **fields: str) -> str:
        body = urllib.parse.urlencode(fields).encode()
        with self.opener.open(self.base + path, body, timeout=30) as answer:
            return str(answer.read().decode())


@pytest.fixture
def deployment(deploy: Callable[[str], Deployment]) -> Deployment:
    return deploy(CONF)


@pytest.fixture
def run(deployment: Deployment) -> Iterator[Run]:
    """A function that runs a process of the deployment until the test ends."""
    children: list[subprocess.Popen[bytes]] = []

    def run(name: str) -> subprocess.Popen[bytes]:
        process = deployment.process(name)
        log = (deployment.directory / f"{name}.out").open("wb")
        with log:
            child = subprocess.Popen(process.program, stdout=log, stderr=log)
        children.append(child)
        ask = ask_zeo if process.is_zeo else ask_http
        wait_until(
            lambda: ask(process.address).is_answering or child.poll() is not None,
            f"{name} answers",
            timeout_s=60,
        )
        assert child.poll() is None, Path(log.name).read_text()
        return child

    yield run
    for child in reversed(children):
        child.send_signal(signal.SIGINT)
        child.wait(20)


def test_the_first_start_shows_every_mount_ok(deployment: Deployment, run: Run) -> None:
    prepare(deployment.topology, deployment.host)
    for name in ("zeo", "dev", "pub"):
        run(name)
    dev = Browser(deployment.port, is_administrator=True)
    public = Browser(deployment.port2, is_administrator=True)

    for browser, mounts in (
        (dev, ["/home/x.org", "/home/y.org", "/pub/x.org", "/pub/y.org"]),
        (public, ["/home/x.org", "/home/y.org", "/session"]),
    ):
        page = browser.get("/manage_addProduct/ZODBMountPoint/addMountsForm")
        spans = re.findall(r"<span>(.*?)</span>", page)
        states = dict(zip(spans[::3], spans[2::3], strict=True))  # path, database, status
        assert states == dict.fromkeys(mounts, "Ok")

    public.post(
        "/home/x.org/manage_addProduct/PageTemplates/manage_addPageTemplate", id="page", text=PAGE
    )
    assert "/home/x.org" in public.get("/home/x.org/page")
    assert "/pub/x.org" in dev.get("/pub/x.org/page")
    with pytest.raises(urllib.error.HTTPError, match="404"):
        dev.get("/home/x.org/page")  # staging is another storage
    dev.post("/pub/x.org/manage_changeProperties", title="seen by all")
    wait_until(lambda: "seen by all" in public.get("/home/x.org/page"), "the public sees it")

    public.post("/manage_addProduct/PageTemplates/manage_addPageTemplate", id="n", text=COUNTER)
    visitor = Browser(deployment.port2)
    assert [visitor.get("/n").count(f"visits={n}") for n in (1, 2, 3)] == [1, 1, 1]
    assert "visits=1" in Browser(deployment.port2).get("/n")


def test_sessions_outlive_a_restart_of_the_public_instance(
    deployment: Deployment, run: Run
) -> None:
    prepare(deployment.topology, deployment.host, names=["pub"])
    run("zeo")
    public = run("pub")
    Browser(deployment.port2, is_administrator=True).post(
        "/manage_addProduct/PageTemplates/manage_addPageTemplate", id="n", text=COUNTER
    )
    visitor = Browser(deployment.port2)
    assert "visits=1" in visitor.get("/n")
    assert "visits=2" in visitor.get("/n")

    public.send_signal(signal.SIGINT)
    public.wait(20)
    run("pub")

    assert "visits=3" in visitor.get("/n")


def test_a_running_instance_is_left_alone_and_told(deployment: Deployment, run: Run) -> None:
    prepare(deployment.topology, deployment.host)
    run("zeo")
    child = run("pub")
    deployment.rewrite(CONF + "<site z.org/>\n")
    deployment.write_files()

    result = prepare(deployment.topology, deployment.host, names=["pub"])

    (root,) = result.roots
    assert root.made == ()
    (refusal,) = root.refused
    assert refusal.what.startswith(f"instance pub is running, pid {child.pid} (")
    assert refusal.hint == "zmount restart pub, which does it in between"


def test_a_running_instance_whose_root_is_right_is_no_matter(
    deployment: Deployment, run: Run
) -> None:
    prepare(deployment.topology, deployment.host)
    run("zeo")
    run("pub")

    result = prepare(deployment.topology, deployment.host)

    assert result.is_complete
    assert not result.is_changed
