"""Looks at the health of real deployments, and servers that are run for them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import transaction
from deployments import Deployment
from ZEO.ClientStorage import ClientStorage
from ZODB import DB
from ZODB.FileStorage import FileStorage

from zmount.operations.health import HealthWish, health
from zmount.operations.health_readings import Health, Reading
from zmount.plan.manifest import STATE

NOBODY = 65534


@contextmanager
def deployed(text: str) -> Iterator[Deployment]:
    """A deployment of the topology TEXT, its files written; all that was started is ended."""
    directory = Path(tempfile.mkdtemp(prefix="zm-"))
    deployment = Deployment(directory, text)
    try:
        deployment.write_files()
        (directory / STATE).mkdir(parents=True, exist_ok=True)
        yield deployment
    finally:
        deployment.end_all()
        shutil.rmtree(directory, ignore_errors=True)


def look(deployment: Deployment, *names: str, **wish: Any) -> Health:
    """Return how DEPLOYMENT is."""
    return health(deployment.topology, deployment.host, HealthWish(names=names, **wish))


def reading(seen: Health, check: str, subject: str) -> Reading:
    """Return what CHECK says of SUBJECT; it must say one thing."""
    found = [each for each in seen.readings if (each.check, each.subject) == (check, subject)]
    assert len(found) == 1, [each.as_json() for each in seen.readings]
    return found[0]


def read(deployment: Deployment, check: str, subject: str) -> Reading:
    """Look at all of DEPLOYMENT, and return what CHECK says of SUBJECT."""
    return reading(look(deployment, only=(check,)), check, subject)


def value(found: Reading, name: str) -> float:
    """Return the number NAME of a reading."""
    return {each.name: each.value for each in found.numbers}[name]


def data_fs(deployment: Deployment, storage: str) -> Path:
    """Return the Data.fs of STORAGE."""
    found = deployment.topology.storage(storage).data_fs
    assert found is not None
    return Path(found)


def fill(deployment: Deployment, storage: str, **values: object) -> None:
    """Commit VALUES into the file of STORAGE, which no server has open; its index is saved."""
    path = data_fs(deployment, storage)
    path.parent.mkdir(parents=True, exist_ok=True)
    blobs = deployment.topology.storage(storage).blob_dir
    database = DB(FileStorage(str(path), blob_dir=str(blobs) if blobs is not None else None))
    with database.transaction() as connection:
        connection.root().update(values)
    database.close()


def client(deployment: Deployment, storage: str, **options: Any) -> ClientStorage:
    """Return a client of STORAGE, as a Zope is one."""
    found = deployment.topology.storage(storage)
    assert found.server is not None
    address = str(found.server.address.socket)
    return ClientStorage(address, storage=found.zeo_name, wait_timeout=20, **options)


def commit(deployment: Deployment, storage: str, **values: object) -> None:
    """Commit VALUES into the root of STORAGE, through its server."""
    database = DB(client(deployment, storage))
    with database.transaction() as connection:
        connection.root().update(values)
    database.close()


@contextmanager
def voted(deployment: Deployment, storage: str) -> Iterator[ClientStorage]:
    """A client that voted and does not finish, until the block ends."""
    stuck = client(deployment, storage)
    try:
        begun = transaction.TransactionManager().begin()
        stuck.tpc_begin(begun)
        stuck.tpc_vote(begun)
        yield stuck
        stuck.tpc_abort(begun)
    finally:
        stuck.close()


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """The process PID stands still until the block ends: it listens, and says nothing."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def silent(*addresses: Any) -> Iterator[list[Any]]:
    """Something listens at ADDRESSES, and says nothing; to others it is as one stopped.

    Yields the addresses, with the ports that were taken where none was said.
    """
    listening = []
    try:
        for address in addresses:
            kind = socket.AF_INET if isinstance(address, tuple) else socket.AF_UNIX
            listening.append(socket.socket(kind))
            listening[-1].bind(address)
            listening[-1].listen(64)
        yield [each.getsockname() for each in listening]
    finally:
        for each in listening:
            each.close()


def as_nobody(ask: Callable[[], Any]) -> Any:
    """Return what ASK returns, plain values, to a user who may see no other's process."""
    ask()  # imports all that it needs: that user may not read this Python
    answer_end, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            answer = [ask()]
        except BaseException:
            answer = [traceback.format_exc()]
        os.write(writing, json.dumps(answer).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(answer_end) as answered:
        text = answered.read()
    os.waitpid(pid, 0)
    return json.loads(text)[0]
