"""A ZEO server that ran from a zeo.conf of its own goes on from the adopted zmount.conf."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import transaction
from deployments import Deployment, wait_until
from ZEO.ClientStorage import ClientStorage
from ZODB import DB

ZEO_CONF = """
%define INSTANCE {directory}/zeo
%define VAR {directory}/filestorage
<zeo>
  address $VAR/zeo.sock
  pid-filename $VAR/ZEO.pid
</zeo>
<filestorage 1>
  path $VAR/Data.fs
  blob-dir $VAR/blobstorage
</filestorage>
"""


@pytest.fixture
def deployment(short_directory: Path) -> Iterator[Deployment]:
    made = Deployment(short_directory, "")
    for name in ("zeo/etc", "filestorage"):
        (short_directory / name).mkdir(parents=True)
    conf = short_directory / "zeo/etc/zeo.conf"
    conf.write_text(ZEO_CONF.format(directory=short_directory))
    yield made
    made.end_all()


def visits(socket: Path, *, add: int = 0) -> int:
    """Return the counter in the storage that SOCKET's server has as 1; ADD to it."""
    database = DB(ClientStorage(str(socket), storage="1", wait_timeout=10))
    try:
        with database.transaction() as connection:
            root = connection.root()
            root["visits"] = root.get("visits", 0) + add
            return root["visits"]
    finally:
        transaction.abort()
        database.close()


def test_an_adopted_server_serves_what_it_served_before(deployment: Deployment):
    socket = deployment.directory / "filestorage/zeo.sock"
    conf = str(deployment.directory / "zeo/etc/zeo.conf")
    old = subprocess.Popen([sys.executable, "-m", "ZEO.runzeo", "-C", conf])
    try:
        wait_until(socket.exists, "ZEO listens")
        visits(socket, add=3)
    finally:
        old.terminate()
        old.wait(timeout=10)

    adopted = deployment.zmount("adopt", conf, "-o", str(deployment.conf), "--overwrite")
    assert adopted.returncode == 0, adopted.stderr
    text = deployment.conf.read_text()
    deployment.conf.write_text(f"venv {sys.prefix}\n{text}")
    refused = deployment.zmount("apply")
    applied = deployment.zmount("apply", "--overwrite")
    started = deployment.zmount("start")

    assert refused.returncode == 5, "the administrator's own zeo.conf is not replaced unasked"
    assert applied.returncode == 0, applied.stderr
    assert started.returncode == 0, started.stderr
    assert visits(socket, add=1) == 4
    assert deployment.zmount("stop").returncode == 0
