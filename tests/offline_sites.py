"""A deployment with two sites, for tests of taking one of them off-line; with real Zopes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deployments import Deployment
from visitors import LOOP, add_page, add_script, ask, manage

from zmount.effects.answers import ask_http, ask_zeo
from zmount.effects.raw_records import Record
from zmount.effects.raw_roots import RawRoot
from zmount.effects.raw_storages import RawDatabases
from zmount.topology.instances import Replica

CONF = """
administrator admin
administrator-password a secret
<zeo zeo>
  address var/zeo.sock
</zeo>
<site x.org/>
<site y.org/>
<runner>
  stop-timeout 2
</runner>
<instance dev>
  kind development
  http-address 127.0.0.1:{port2}
</instance>
<instance pub>
  http-address 127.0.0.1:{port}
</instance>
"""
OFFLINE, PAGE = "/home/x.org", "this is x.org"


@contextmanager
def deployment_with_sites() -> Iterator[Deployment]:
    """A deployment whose public instance runs; the other is down."""
    with tempfile.TemporaryDirectory(prefix="zm-") as directory:
        made = Deployment(Path(directory), CONF)
        try:
            for command in (["apply"], ["start", "zeo", "pub"]):
                done = made.zmount(*command)
                assert done.returncode == 0, done.stdout + done.stderr
            manage(made.port, "/manage_addFolder", id="other")
            add_page(made.port, OFFLINE, "page", PAGE)
            add_script(made.port, OFFLINE, "spin", LOOP)
            yield made
        finally:
            made.end_all()


@contextmanager
def all_on_line(started: Deployment) -> Iterator[Deployment]:
    """The deployment with everything on-line, and so it is left."""
    assert ask(started.port, f"{OFFLINE}/page").text == PAGE
    yield started
    if not _all_answer(started):
        started.zmount("start", "zeo", "pub")
    if remembered(started) or state_of(started) != "ok":
        back = started.zmount("online", "x.org", "--restart")
        assert back.returncode == 0, back.stderr


def _all_answer(zopes: Deployment) -> bool:
    zeo, pub = zopes.process("zeo").address, zopes.process("pub").address
    return ask_zeo(zeo).is_answering and ask_http(pub).is_answering


def replica_of(zopes: Deployment, name: str = "pub") -> Replica:
    return zopes.topology.instance(name).replicas[0]


def state_of(zopes: Deployment, path: str = OFFLINE, name: str = "pub") -> str:
    replica = replica_of(zopes, name)
    with RawDatabases(replica) as databases:
        return RawRoot(replica.instance.mounts, databases).state(path)[0]


def record_of(zopes: Deployment, path: str = OFFLINE) -> Record:
    replica = replica_of(zopes)
    with RawDatabases(replica) as databases:
        found = RawRoot(replica.instance.mounts, databases).spot(path).record
        assert found is not None
        return found


def take_offline(zopes: Deployment, *more: str) -> str:
    done = zopes.zmount("offline", "x.org", "--instance", "pub", *more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def remembered(zopes: Deployment) -> list[dict[str, str]]:
    path = zopes.directory / "var/zmount/offline.json"
    found: list[dict[str, str]] = json.loads(path.read_text())["offline"] if path.exists() else []
    return found
