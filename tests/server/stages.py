"""Real ZEO servers of a production and a staging storage, and clients of them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import transaction
from BTrees.OOBTree import OOBTree
from deployments import wait_until
from persistent.mapping import PersistentMapping
from ZEO.ClientStorage import ClientStorage
from ZODB.blob import Blob
from ZODB.DB import DB
from ZODB.FileStorage import FileStorage

from zmount.server.control import call
from zmount.server.settings import StageSettings

FILESTORAGE = """
<filestorage {name}>
  path {directory}/{name}/Data.fs
  blob-dir {directory}/{name}/blobs
  packer {packer}
  pack-keep-old false
</filestorage>
"""
STAGE = """
<stage stage>
  path {directory}/stage/Data.fs
  blob-dir {directory}/stage/blobs
  source {source}
  source-path {directory}/pub/Data.fs
  source-blob-dir {directory}/pub/blobs
  {more}
</stage>
"""
OURS = "zmount.filestorage.packer.pack"
STOCK = "ZODB.FileStorage.FileStorage:FileStorage.packer"


@dataclass
class Server:
    """A ZEO server in DIRECTORY, whose path must be short: a socket is in it.

    ``storages`` are the sections; ``zeo`` are more lines of its section. With a ``port``
    it listens there, on this host, and not on the socket.
    """

    directory: Path
    storages: str
    zeo: str = ""
    name: str = "zeo"
    environment: dict[str, str] = field(default_factory=dict)
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.directory / f"{self.name}.sock"

    @property
    def address(self) -> str | tuple[str, int]:
        return ("127.0.0.1", self.port) if self.port else str(self.socket)

    @property
    def control(self) -> Path:
        return self.directory / "stage" / "generations" / "control"

    @property
    def generations(self) -> Path:
        return self.directory / "stage" / "generations"

    @property
    def log(self) -> str:
        return (self.directory / f"{self.name}.log").read_text()

    def launch(self) -> None:
        """Start its process; it may not answer yet."""
        conf = self.directory / f"{self.name}.conf"
        conf.write_text(
            f"%import zmount.server\n<zeo>\n  address {self.port or self.socket}\n"
            f"  {self.zeo}\n</zeo>\n" + self.storages
        )
        self.socket.unlink(missing_ok=True)
        with (self.directory / f"{self.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ZEO.runzeo", "-C", str(conf)],
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
            )

    def start(self) -> None:
        """Start it; it answers when this returns."""
        self.launch()
        wait_until(self._answers, f"ZEO listens on {self.socket}: {self.log}", timeout_s=20)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        if self.port:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0
        return self.socket.exists()

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=20)
            self.process = None

    def call(self, name: str, **more: Any) -> Any:
        """Let the stage do what NAME says; return its result."""
        return call(self.control, {"call": name, **more})

    def swap(self, *clients: Client, **more: Any) -> Any:
        """Swap, and wait until these CLIENTS have noticed it."""
        found = self.call("swap", **more)
        for client in clients:
            client.wait_for(bytes.fromhex(found["floor"]))
        return found

    def undo(self, *clients: Client) -> Any:
        """Undo the swap, and wait until these CLIENTS have noticed it."""
        found = self.call("undo")
        for client in clients:
            client.wait_for(bytes.fromhex(found["floor"]))
        return found


class Client:
    """A client of a server's storage; with CACHE, the name of a file, its cache persists."""

    def __init__(
        self, server: Server, storage: str = "stage", cache: str = "", **options: Any
    ) -> None:
        self.directory = server.directory / "clients"
        self.directory.mkdir(exist_ok=True)
        options = {
            "wait_timeout": 10,
            "client": cache or None,
            "var": str(self.directory),
            "blob_dir": str(self.directory / f"blobs-{storage}-{id(self)}"),
            **options,
        }
        self.storage = ClientStorage(server.address, storage=storage, **options)
        self.db = DB(self.storage)

    def close(self) -> None:
        self.db.close()

    def wait_for(self, tid: bytes) -> None:
        """Wait until it has heard of the transaction TID."""
        wait_until(
            lambda: self.storage.is_connected() and self.storage.lastTransaction() >= tid,
            f"the client knows of {tid.hex()}",
        )

    @contextmanager
    def root(self) -> Iterator[Any]:
        """The root object in a transaction of its own, committed at the end."""
        manager = transaction.TransactionManager()
        connection = self.db.open(manager)
        try:
            with manager:
                yield connection.root()
        finally:
            connection.close()

    def write(self, values: Mapping[str, str]) -> None:
        """Let these objects have these values, in one transaction."""
        with self.root() as root:
            tree = root["tree"]
            for name, value in values.items():
                if name in tree:
                    tree[name]["value"] = value
                else:
                    tree[name] = PersistentMapping(value=value)

    def write_each(self, values: Iterable[tuple[str, str]]) -> None:
        """The same, each in a transaction of its own."""
        for name, value in values:
            self.write({name: value})

    def write_blob(self, name: str, content: bytes) -> None:
        with self.root() as root:
            blob = root["blobs"].setdefault(name, Blob())
            with blob.open("w") as file:
                file.write(content)

    def read(self) -> dict[str, str]:
        """Return the values of all objects."""
        with self.root() as root:
            return {name: each["value"] for name, each in root["tree"].items()}

    def read_blobs(self) -> dict[str, bytes]:
        """Return the content of all blobs."""
        with self.root() as root:
            found = {}
            for name, blob in root["blobs"].items():
                with blob.open() as file:
                    found[name] = file.read()
            return found


def fill(path: Path, values: Mapping[str, str], blobs: Mapping[str, bytes]) -> None:
    """Make the FileStorage PATH, with a directory of blobs beside it."""
    path.parent.mkdir(exist_ok=True)
    storage = FileStorage(str(path), blob_dir=str(path.parent / "blobs"))
    database = DB(storage)
    with database.transaction() as connection:
        root = connection.root()
        root["tree"], root["blobs"] = OOBTree(), PersistentMapping()
        for name, value in values.items():
            root["tree"][name] = PersistentMapping(value=value)
        for name, content in blobs.items():
            root["blobs"][name] = Blob(content)
    database.close()


class Stages:
    """Makes servers and clients in DIRECTORY, and ends them all."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._servers: list[Server] = []
        self._clients: list[Client] = []

    def settings(self, **more: Any) -> StageSettings:
        """What the section of :meth:`server` says, for a stage without a server."""
        stage, pub = self.directory / "stage", self.directory / "pub"
        return StageSettings(
            **{
                "name": "stage",
                "path": stage / "Data.fs",
                "blob_dir": stage / "blobs",
                "generations": stage / "generations",
                "source": "pub",
                "source_path": pub / "Data.fs",
                "source_blob_dir": pub / "blobs",
                **more,
            }
        )

    def fill(
        self,
        values: Mapping[str, str] = {"a": "pub", "b": "pub", "c": "pub"},
        blobs: Mapping[str, bytes] = {"one": b"pub"},
    ) -> None:
        """Make production with this content, and staging as a copy of it."""
        fill(self.directory / "pub" / "Data.fs", values, blobs)
        shutil.copytree(self.directory / "pub", self.directory / "stage", dirs_exist_ok=True)

    def server(
        self,
        more: str = "",
        *,
        zeo: str = "",
        packer: str = OURS,
        start: bool = True,
        port: int = 0,
    ) -> Server:
        """A server of both; MORE are lines of the stage's section."""
        storages = FILESTORAGE.format(directory=self.directory, name="pub", packer=packer)
        storages += STAGE.format(directory=self.directory, source="pub", more=more)
        return self.add(Server(self.directory, storages, zeo, port=port), start=start)

    def stage_server(self, more: str = "", *, zeo: str = "") -> Server:
        """A server of the stage alone."""
        storages = STAGE.format(directory=self.directory, source="", more=more)
        return self.add(Server(self.directory, storages, zeo))

    def plain_server(self, *names: str, zeo: str = "", packer: str = OURS) -> Server:
        """A server of FileStorages."""
        storages = "".join(
            FILESTORAGE.format(directory=self.directory, name=name, packer=packer) for name in names
        )
        return self.add(Server(self.directory, storages, zeo, name="plain"))

    def add(self, server: Server, *, start: bool = True) -> Server:
        self._servers.append(server)
        if start:
            server.start()
        return server

    def client(
        self, server: Server, storage: str = "stage", cache: str = "", **options: Any
    ) -> Client:
        made = Client(server, storage, cache, **options)
        self._clients.append(made)
        return made

    def end(self) -> None:
        for client in self._clients:
            client.storage._wait_timeout = 0.1
            client.close()
        for server in self._servers:
            server.stop(signal.SIGKILL)
