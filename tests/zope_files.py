"""Zope's own objects and Zope's own programs, for tests of what zmount makes of them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deployments import Deployment
from OFS.Application import Application
from ZODB import DB
from ZODB.FileStorage import FileStorage

from zmount.effects.child_process import environment
from zmount.effects.serving import served

# Zope's own view of every mount: (path, status), by its own page's function.
STATUS = """
from Products.ZODBMountPoint.MountedObject import manage_getMountStatus
class Dispatcher:
    def getPhysicalRoot(self): return app
    def this(self): return app
answer = {each["path"]: each["status"] for each in manage_getMountStatus(Dispatcher())}
"""
_ANSWER = """
import json, transaction
transaction.commit()
print("ANSWER", json.dumps(answer))
for database in app._p_jar.db().databases.values():
    database.close()
"""


def in_file(path: Path, change: Callable[[Any], object]) -> None:
    """Let CHANGE do something to the Application in the FileStorage at PATH.

    The objects are Zope's own, without Zope: a mount point in it is never asked
    for what it shows.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    database = DB(FileStorage(str(path)))
    with database.transaction() as connection:
        root = connection.root()
        if "Application" not in root:
            root["Application"] = Application()
        change(root["Application"])
    database.close()


def in_zope(deployment: Deployment, instance: str, program: str) -> Any:
    """Run PROGRAM in INSTANCE's Zope, with its ZEO servers; return its ``answer``."""
    (replica, *_) = deployment.topology.instance(instance).replicas
    script = deployment.directory / "in_zope.py"
    script.write_text(program + _ANSWER)
    servers = deployment.topology.zeo_servers
    with served(deployment.topology, deployment.host, servers, lambda _: None):
        done = subprocess.run(
            [f"{sys.prefix}/bin/zconsole", "run", str(replica.zope_conf), str(script)],
            env=environment(deployment.process(replica.name)),
            capture_output=True,
            text=True,
            timeout=60,
        )
    answers = [line for line in done.stdout.splitlines() if line.startswith("ANSWER ")]
    assert answers, done.stderr
    return json.loads(answers[-1].removeprefix("ANSWER "))


def statuses(deployment: Deployment, instance: str) -> dict[str, str]:
    """Return what INSTANCE's Zope itself says of each of its mounts."""
    found: dict[str, str] = in_zope(deployment, instance, STATUS)
    return found
