"""A real ZEO server of one FileStorage with blobs, for the tests of what goes on beside it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import transaction
from deployments import wait_until
from ZEO import ClientStorage
from ZODB.blob import Blob
from ZODB.DB import DB

CONF = """
<zeo>
  address {directory}/zeo.sock
</zeo>
<filestorage 1>
  path {data_fs}
  blob-dir {blob_dir}
  {more}
</filestorage>
"""


@dataclass
class ZeoServer:
    """A ZEO server of DATA_FS in DIRECTORY, whose path must be short: a socket is in it."""

    directory: Path
    more: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def data_fs(self) -> Path:
        return self.directory / "Data.fs"

    @property
    def blob_dir(self) -> Path:
        return self.directory / "blobs"

    @property
    def socket(self) -> Path:
        return self.directory / "zeo.sock"

    def start(self) -> None:
        """Start it; it answers when this returns."""
        conf = self.directory / "zeo.conf"
        conf.write_text(
            CONF.format(
                directory=self.directory,
                data_fs=self.data_fs,
                blob_dir=self.blob_dir,
                more=self.more,
            )
        )
        self.socket.unlink(missing_ok=True)
        with (self.directory / "zeo.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ZEO.runzeo", "-C", str(conf)], stdout=log, stderr=log
            )
        wait_until(self.socket.exists, f"ZEO listens on {self.socket}", timeout_s=20)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Stop it; SIGTERM lets it save its index."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=20)
            self.process = None

    @property
    def log(self) -> str:
        return (self.directory / "zeo.log").read_text()

    @contextmanager
    def database(self) -> Iterator[DB]:
        """A client's database."""
        cache = self.directory / "client-blobs"
        storage = ClientStorage.ClientStorage(
            str(self.socket), blob_dir=str(cache), shared_blob_dir=False, wait_timeout=10
        )
        database = DB(storage)
        try:
            yield database
        finally:
            database.close()

    @contextmanager
    def root(self) -> Iterator[Any]:
        """The root object in a transaction of its own, committed at the end."""
        manager = transaction.TransactionManager()
        with self.database() as database:
            connection = database.open(manager)
            try:
                with manager:
                    yield connection.root()
            finally:
                connection.close()


def blob(content: bytes) -> Blob:
    """Return a new blob of this CONTENT."""
    made = Blob()
    with made.open("w") as file:
        file.write(content)
    return made


@contextmanager
def zeo_server(directory: Path, more: str = "") -> Iterator[ZeoServer]:
    """Yield a started ZEO server; it is gone afterwards."""
    server = ZeoServer(directory, more)
    try:
        server.start()
        yield server
    finally:
        server.stop(signal.SIGKILL)
