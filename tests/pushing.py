"""Storages of a running deployment, written to as Zope does, for tests of pushing objects."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transaction
from deployments import Deployment
from OFS.Folder import Folder
from ZEO.ClientStorage import ClientStorage
from ZODB import DB
from ZODB.blob import Blob

BLOB = bytes(n * n % 251 for n in range(400_000))
STAGE, PRODUCTION = "stage/x.org", "pub/x.org"
CONF = """
administrator admin
administrator-password a secret
<zeo zeo>
  address var/zeo.sock
</zeo>
<site x.org/>
<storage plain>
  blob-dir none
</storage>
<instance dev>
  kind development
  http-address 127.0.0.1:{port}
  <mount plain>
    mount-point /plain
  </mount>
</instance>
<instance pub>
  kind public
  http-address 127.0.0.1:{port2}
</instance>
"""


@contextmanager
def application(deployment: Deployment, *names: str) -> Iterator[Any]:
    """Yield the Application in the storage NAME; of several storages, all.

    They are one multi-database. What is done is committed.
    """
    blobs = tempfile.mkdtemp(prefix="zm-blobs-")
    databases: dict[str, Any] = {}
    for name in names:
        storage = deployment.topology.storage(name)
        client = ClientStorage(
            str(deployment.process("zeo").address.socket),
            storage=storage.zeo_name,
            blob_dir=str(Path(blobs) / name.replace("/", "+")),
            wait_timeout=10,
        )
        DB(client, databases=databases, database_name=name)
    connection = databases[names[0]].open()
    try:
        found = [connection.get_connection(name).root()["Application"] for name in names]
        yield found[0] if len(found) == 1 else found
        transaction.commit()
    finally:
        transaction.abort()
        connection.close()
        for each in databases.values():
            each.close()
        shutil.rmtree(blobs)


def site_of(app: Any) -> Any:
    """Return the site in APP, a storage's Application."""
    return app._getOb("home")._getOb("x.org")


def add_folder(container: Any, name: str, *, title: str = "", owner: str = "") -> Any:
    """Add a folder that OWNER owns to CONTAINER."""
    folder = Folder(name)
    folder.title = title
    container._setObject(name, folder, set_owner=0)
    folder = container._getOb(name)
    if owner:
        folder._owner = (["acl_users"], owner)
        folder.manage_setLocalRoles(owner, ["Owner"])
    return folder


def add_blob(container: Any, name: str) -> None:
    """Add a folder with a blob of 400 kB to CONTAINER."""
    add_folder(container, name).picture = Blob(BLOB)


def empty(deployment: Deployment, name: str) -> None:
    """Let the site of the storage NAME be empty."""
    with application(deployment, name) as app:
        site = site_of(app)
        for each in list(site.objectIds()):
            site._delObject(each)


def pushed(zopes: Deployment, *arguments: str) -> dict[str, Any]:
    """Push; return what the command tells of it."""
    done = zopes.zmount("push", *arguments, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told
