"""Deployments whose staging is swapped, for tests of ``zmount swap-stage``."""

from __future__ import annotations

import subprocess
from typing import Any

import transaction
from deployments import Deployment, wait_until
from persistent.mapping import PersistentMapping
from ZEO.ClientStorage import ClientStorage
from ZODB import DB
from ZODB.FileStorage import FileStorage
from ZODB.POSException import ReadConflictError

from zmount.effects.child_process import as_user
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.swap_plan import SwapWish
from zmount.operations.swap_stage import Swapped, swap_stage

CONF = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<site x.org/>
<site y.org>
  staging none
</site>
<site z.org>
  stage-mode none
</site>
"""
PRODUCTION, STAGING = "pub/x.org", "stage/x.org"


class Swaps:
    """A deployment of ZEO servers, and what is done to it."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.servers: dict[str, subprocess.Popen[bytes]] = {}
        self.databases: list[DB] = []

    def start(self, name: str = "zeo", user: str = "") -> None:
        process = self.deployment.process(name)
        self.servers[name] = subprocess.Popen(
            process.program,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **as_user(user),
        )
        local = LocalProcesses(topology=self.deployment.topology, host=process.host)
        wait_until(lambda: local.ask(process).is_answering, f"{name} answers", timeout_s=30)

    def stop(self, name: str = "zeo") -> None:
        self.servers[name].terminate()
        self.servers.pop(name).wait(20)

    def close(self) -> None:
        for database in self.databases:
            database.close()
        for name in list(self.servers):
            self.stop(name)

    def client(self, storage: str, **options: Any) -> DB:
        """Return a database of STORAGE, through its ZEO server, that is never restarted."""
        found = self.deployment.topology.storage(storage)
        assert found.server is not None and found.server.address.socket is not None
        client = ClientStorage(
            str(found.server.address.socket), storage=found.zeo_name, wait_timeout=20, **options
        )
        self.databases.append(DB(client))
        return self.databases[-1]

    def write(self, storage: str, user: str = "", **values: Any) -> None:
        """Commit VALUES into the root mapping of STORAGE, through its server or its file."""
        found = self.deployment.topology.storage(storage)
        if self.servers:
            database = self.client(storage, blob_dir=str(self.deployment.directory / "c"))
        else:
            database = DB(FileStorage(str(found.data_fs), blob_dir=str(found.blob_dir)))
        manager = transaction.TransactionManager()
        connection = database.open(manager)
        manager.get().setUser(user)
        manager.get().note("an edit")
        connection.root().update(values)
        manager.commit()
        connection.close()
        if not self.servers:
            database.close()

    def swap(self, *names: str, ask: Any = None, watch: Any = None, **wish: Any) -> Swapped:
        (found,) = self.all(*names, ask=ask, watch=watch, **wish)
        return found

    def all(
        self, *names: str, ask: Any = None, watch: Any = None, **wish: Any
    ) -> tuple[Swapped, ...]:
        names = names or (() if wish.get("is_all") else ("x.org",))
        return swap_stage(
            self.deployment.topology,
            self.deployment.host,
            SwapWish(names=names, **wish),
            watch or (lambda event: None),
            ask,
        )

    @property
    def staging(self) -> Any:
        return self.deployment.topology.storage(STAGING)


def root_of(database: DB) -> dict[str, Any]:
    """Return what DATABASE's root mapping holds, as a transaction that begins now sees it.

    One that begins before its client has heard of a swap is repeated, as Zope does.
    """
    for _ in range(3):
        try:
            return _root_of(database)
        except ReadConflictError:
            continue
    return _root_of(database)


def _root_of(database: DB) -> dict[str, Any]:
    manager = transaction.TransactionManager()
    connection = database.open(manager)
    try:
        found = {
            key: dict(value) if isinstance(value, PersistentMapping) else value
            for key, value in connection.root().items()
        }
    finally:
        manager.abort()
        connection.close()
    return found
