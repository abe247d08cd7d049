"""The agent in a Zope that zmount did not set up, as docs/howto/agent.md says."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployments import free_port, wait_until
from visitors import ask, login

from zmount.agent.requests import FILE_NAME, requests_in
from zmount.agent.watch import STACKS
from zmount.effects.answers import ask_http
from zmount.topology.addresses import Address

INCLUDE = '<include package="zmount.agent" />'


@pytest.fixture
def zope(tmp_path: Path) -> Iterator[tuple[Path, int, subprocess.Popen[bytes]]]:
    """The directory, port and process of an instance that Zope's own script made."""
    home, port = tmp_path / "zope", free_port()
    made = subprocess.run(
        [f"{sys.prefix}/bin/mkwsgiinstance", "-d", str(home), "-u", "admin:a secret"],
        capture_output=True,
        timeout=60,
    )
    assert made.returncode == 0, made.stderr
    zcml = home / "etc/site.zcml"
    text = zcml.read_text()
    zcml.write_text(text.replace("</configure>", f"  {INCLUDE}\n</configure>"))
    ini = home / "etc/zope.ini"
    ini.write_text(re.sub(r"(?m)^port = .*$", f"port = {port}", ini.read_text()))
    with (tmp_path / "out").open("wb") as out:
        child = subprocess.Popen(
            [f"{sys.prefix}/bin/runwsgi", str(ini)], stdout=out, stderr=out, cwd=home
        )
    try:
        address = Address(host="127.0.0.1", port=port)
        wait_until(lambda: ask_http(address).is_answering, "it answers", timeout_s=60)
        yield home, port, child
    finally:
        child.kill()
        child.wait()


def test_it_works_without_a_topology(zope: tuple[Path, int, subprocess.Popen[bytes]]) -> None:
    home, port, child = zope
    headers = {"Content-Type": "application/json"}
    look = json.dumps({"do": "look"})

    assert ask(port, "/@@zmount-alive").text == "alive\n"
    refused = ask(port, "/@@zmount-agent", method="POST", body=look, headers=headers)
    told = ask(port, "/@@zmount-agent", method="POST", body=look, headers={**headers, **login()})

    assert refused.status == 401
    assert json.loads(told.text)["pid"] == child.pid
    assert requests_in(home / "var" / FILE_NAME, child.pid) is not None
    child.send_signal(signal.SIGUSR1)
    stacks = home / "var" / STACKS
    wait_until(lambda: "waitress" in stacks.read_text(), "its stacks are written")
    assert child.poll() is None
