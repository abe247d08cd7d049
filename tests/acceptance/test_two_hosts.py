"""configs/vsa-two-hosts on two hosts: network namespaces of this machine, joined by a cable.

Each is a host of its own to all that ZEO, Zope and zmount can see of a network.
Only root can make them; the addresses exist nowhere else.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import make_certificates
from deployments import Deployment

CONF = Path(__file__).parent.parent.parent / "configs" / "vsa-two-hosts" / "zmount.conf"
ADDRESSES = {"zope1": "10.213.7.1", "zope2": "10.213.7.2"}
SITE = "srichinmoyraces.org"

# prints the status of a URL, fetched with "user:password" and a form's fields, if said
HTTP = """
import base64, sys, urllib.error, urllib.request as u
url, *more = sys.argv[1:]
ask = u.Request(url, data=more[1].encode() if more else None)
if more:
    ask.add_header("Authorization", "Basic " + base64.b64encode(more[0].encode()).decode())
try:
    print(u.urlopen(ask, timeout=20).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make two hosts of one")


class TwoHosts:
    """The deployment in DIRECTORY, each host's part in a namespace of its own."""

    def __init__(self, directory: Path) -> None:
        self.deployment = Deployment(directory, text_for(directory))
        self.namespaces = {host: f"{directory.name}-{host}" for host in ADDRESSES}

    def join(self) -> None:
        """Make the two namespaces and the cable between them."""
        first, second = self.namespaces.values()
        for namespace in self.namespaces.values():
            added = subprocess.run(["ip", "netns", "add", namespace], capture_output=True)
            if added.returncode:  # as in a container without CAP_SYS_ADMIN
                pytest.skip(f"not allowed to make a network namespace: {added.stderr.decode()}")
        cable = ("type", "veth", "peer", "name", "zope2", "netns", second)
        run("ip", "link", "add", "zope1", "netns", first, *cable)
        for host, namespace in self.namespaces.items():
            run("ip", "-n", namespace, "address", "add", f"{ADDRESSES[host]}/24", "dev", host)
            run("ip", "-n", namespace, "link", "set", host, "up")
            run("ip", "-n", namespace, "link", "set", "lo", "up")

    def cut(self) -> None:
        """Unplug the cable at zope1: what zope2 sends gets no answer."""
        run("ip", "-n", self.namespaces["zope1"], "link", "set", "zope1", "down")

    def share_the_password(self) -> None:
        """Let zope2 have the password of the administrator that zope1 made up."""
        etc = self.deployment.directory / "zope2/etc"
        etc.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.deployment.directory / "zope1/etc/administrator", etc)

    def end(self) -> None:
        """End every process and remove the namespaces, and with them the cable."""
        self.deployment.end_all()
        for namespace in self.namespaces.values():
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True)

    def on(self, host: str, *command: str) -> tuple[int, str]:
        """Run COMMAND on HOST; return its exit status, and all that it printed."""
        done = subprocess.run(
            ["ip", "netns", "exec", self.namespaces[host], *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout

    def zmount(self, host: str, *arguments: str, status: int = 0) -> str:
        """Run zmount on HOST, which it must find out by itself; return what it printed."""
        command = (sys.executable, "-m", "zmount", "-f", str(self.deployment.conf))
        found, printed = self.on(host, *command, *arguments)
        assert found == status, printed
        return printed

    def http(self, host: str, url: str, *options: str) -> str:
        """Return the status of URL, asked from HOST."""
        return self.on(host, sys.executable, "-c", HTTP, url, *options)[1].strip()


def run(*command: str) -> None:
    """Run COMMAND, which must succeed."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def text_for(directory: Path) -> str:
    """Return configs/vsa-two-hosts with one site, in DIRECTORY, at ADDRESSES."""
    text = CONF.read_text()
    text = re.sub(r"^(directory|venv|user) .*\n", "", text, flags=re.M)
    text = re.sub(rf"^<site (?!{SITE}).*\n", "", text, flags=re.M)
    text = text.replace("%define tls /etc/zope/tls", f"%define tls {directory}/tls")
    text = text.replace("replicas 2", "replicas 1")
    for host, address in ADDRESSES.items():
        there = f"  address {address}\n  directory {directory}/{host}\n"
        text = text.replace(f"  address {host}.example.org\n", there)
    return text


@pytest.fixture
def two_hosts(short_directory: Path) -> Iterator[TwoHosts]:
    tls = short_directory / "tls"
    tls.mkdir()
    make_certificates(tls, hostname="zope1.example.org")
    (tls / "server.key").rename(tls / "host.key")
    for name in ("host.pem", "deployment-ca.pem"):  # signed by itself, so its own authority
        shutil.copy(tls / "server.pem", tls / name)
    hosts = TwoHosts(short_directory)
    try:
        hosts.join()
        yield hosts
    finally:
        hosts.end()


def test_two_hosts_show_the_same_objects(two_hosts: TwoHosts):
    for host in ("zope1", "zope2"):
        two_hosts.zmount(host, "apply")
        two_hosts.zmount(host, "start")
        two_hosts.share_the_password()
    for host in ("zope1", "zope2"):
        assert json.loads(two_hosts.zmount(host, "status", "--json"))["is_well"]

    pages = [f"http://{address}:8090/home/{SITE}/news" for address in ADDRESSES.values()]
    assert [two_hosts.http("zope2", page) for page in pages] == ["404", "404"]
    secret = (two_hosts.deployment.directory / "zope2/etc/administrator").read_text().strip()
    add = f"http://127.0.0.1:8081/pub/{SITE}/manage_addFolder"
    assert two_hosts.http("zope2", add, secret, "id=news") == "200"
    assert [two_hosts.http("zope1", page) for page in pages] == ["200", "200"]

    for host, trials in (("zope1", 3), ("zope2", 2)):
        said = two_hosts.zmount(host, "sessions", "--prove", "--yes")
        assert f"the session outlived {trials} of {trials} trials, seen at pub-1, pub-2" in said

    for host in ("zope2", "zope1"):
        two_hosts.zmount(host, "stop")


def test_a_zeo_server_that_is_away_on_the_other_host_is_named_at_once(two_hosts: TwoHosts):
    applied = two_hosts.zmount("zope2", "apply", status=10)
    assert "the ZEO server zeo on host zope1 does not answer at 10.213.7.1:8100" in applied
    started = two_hosts.zmount("zope2", "start", "dev", status=8)
    assert "does not answer at 10.213.7.1:8100: nothing listens there" in started
    assert "zmount start zeo on host zope1" in started

    two_hosts.cut()
    unanswered = two_hosts.zmount("zope2", "start", "dev", status=8)
    assert "it needs the ZEO server zeo on host zope1, which does not answer" in unanswered
