"""Deployments whose mounts are broken and repaired, some of their processes killed meanwhile."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from broken_mounts import Administrator, add_document, running, start, stop
from deployments import Deployment

from zmount.operations.attic import list_attic
from zmount.operations.mounts import mounts
from zmount.operations.prepare import prepare
from zmount.operations.remount import RemountWish, remount
from zmount.operations.remounted import Remounted, RemountResult
from zmount.topology.instances import Replica

CONF = """
administrator admin
administrator-password a secret
<zeo zeo>
  address var/zeo.sock
</zeo>
<zeo zeo2>
  address var/zeo2.sock
</zeo>
<site x.org>
  server zeo
</site>
<site y.org>
  server zeo2
  staging none
</site>
<storage root/public>
  server zeo
</storage>
<instance dev>
  kind development
  http-address 127.0.0.1:{port}
</instance>
<instance pub>
  kind public
  replicas 2
  root root/public
  http-address 127.0.0.1:{port2}
</instance>
"""
# Kills the process before or after the root's file says that a transaction is complete.
CRASH = """
import os, signal
if "CRASH" in os.environ:
    from ZODB.FileStorage import FileStorage
    finish = FileStorage.tpc_finish
    def tpc_finish(self, *args, **keywords):
        try:
            with open(os.environ["CRASH"]) as file:
                when = file.read()
        except FileNotFoundError:
            when = ""
        if "dev_client" not in self.getName():
            when = ""
        if when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = finish(self, *args, **keywords)
        if when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    FileStorage.tpc_finish = tpc_finish
"""
ALL = ("zeo", "zeo2", "dev", "pub-1", "pub-2")


@dataclass
class Zopes:
    """A deployment; ``children`` are those of its processes that run."""

    deployment: Deployment
    children: dict[str, Any]
    crash: Path

    @property
    def dev(self) -> Administrator:
        return Administrator(self.deployment.port)

    @property
    def pub(self) -> Administrator:
        return Administrator(self.deployment.port2)

    @property
    def replica(self) -> Replica:
        return self.deployment.topology.instance("dev").replicas[0]

    def remount(self, *paths: str, instances: tuple[str, ...] = ()) -> RemountResult:
        wish = RemountWish(paths=paths, instances=instances)
        return remount(self.deployment.topology, self.deployment.host, wish)

    def states(self, instance: str = "dev") -> dict[str, str]:
        found = mounts(self.deployment.topology, self.deployment.host, [instance])
        return {each.path: each.state for each in found.instances[0].mounts}

    def data_fs(self, storage: str) -> Path:
        path = self.deployment.topology.storage(storage).data_fs
        assert path is not None
        return Path(path)

    def start(self, *names: str) -> None:
        for name in names:
            start(self.deployment, self.children, name)

    def stop(self, *names: str) -> None:
        for name in names:
            stop(self.children, name)

    def is_right(self) -> bool:
        return {*self.states("dev").values(), *self.states("pub").values()} == {"ok"}


@contextmanager
def started() -> Iterator[Zopes]:
    """The deployment, up; production of x.org has a document."""
    with (
        tempfile.TemporaryDirectory(prefix="zm-") as name,
        pytest.MonkeyPatch.context() as patch,
    ):
        directory = Path(name)
        (directory / "site").mkdir()
        (directory / "site/sitecustomize.py").write_text(CRASH)
        patch.setenv("CRASH", str(directory / "crash"))
        patch.setenv("PYTHONPATH", str(directory / "site"))
        deployment = Deployment(directory, CONF)
        deployment.write_files()
        prepare(deployment.topology, deployment.host)
        with running(deployment, *ALL) as children:
            zopes = Zopes(deployment, children, directory / "crash")
            add_document(zopes.pub, "/home/x.org/doc", 1000)
            yield zopes


def make_whole(zopes: Zopes) -> None:
    """Let all of ZOPES run, and every mount be right."""
    zopes.crash.unlink(missing_ok=True)
    for name in list(zopes.children):
        if zopes.children[name].poll() is not None:
            del zopes.children[name]
    zopes.start(*(name for name in ALL if name not in zopes.children))
    if not zopes.is_right():
        zopes.remount().refuse_failures()


def only(result: RemountResult, instance: str) -> Remounted:
    return next(each for each in result.instances if each.instance == instance)


def attic(zopes: Zopes) -> Any:
    return list_attic(zopes.deployment.topology, zopes.deployment.host, ("dev",))
