"""A process that packs a storage while it commits, until something happens to it.

Arguments: DATA_FS, BLOB_DIR, ACKNOWLEDGED (a file), PACK_TIME (seconds since
1970) and KEEP_OLD (0 or 1). Each transaction that was committed is a line in
ACKNOWLEDGED: its tid and its number. Exit status 0: packed; 4: the pack failed,
and three more transactions were committed after that.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import Any

import transaction
import ZODB
from ZODB.blob import Blob
from ZODB.FileStorage import FileStorage
from ZODB.serialize import referencesf

from zmount.filestorage.packer import pack

FAILED = 4


class Committer(threading.Thread):
    """Commits some hundred times a second: a number, and sometimes a blob."""

    def __init__(self, db: Any, acknowledged: str) -> None:
        super().__init__(name="committer")
        self.db = db
        self.log = os.open(acknowledged, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self.number = 0
        self.is_over = False
        self.start()

    def run(self) -> None:
        manager = transaction.TransactionManager()
        connection = self.db.open(transaction_manager=manager)
        live = connection.root()["live"]
        while not self.is_over:
            number = self.number + 1
            try:
                live["number"] = number
                if number % 10 == 0 or number == 1:
                    live["blob"] = Blob(b"%d" % (number // 10))
                manager.commit()
            except OSError:  # the disk is full: what a user sees, and does again
                manager.abort()
                time.sleep(0.02)
                continue
            self.number = number
            tid = connection._storage.lastTransaction().hex()
            os.write(self.log, b"%s %d\n" % (tid.encode(), number))
            time.sleep(0.002)
        connection.close()

    def wait_for(self, more: int) -> None:
        """Wait until there are so many MORE transactions."""
        wanted = self.number + more
        while self.number < wanted:
            assert self.is_alive(), "the committer died"
            time.sleep(0.001)


def main(data_fs: str, blob_dir: str, acknowledged: str, pack_time: str, keep_old: str) -> int:
    storage = FileStorage(
        data_fs, blob_dir=blob_dir, packer=pack, pack_keep_old=bool(int(keep_old))
    )
    db = ZODB.DB(storage)
    committer = Committer(db, acknowledged)
    committer.wait_for(3)
    status = 0
    sys.audit("zmount.test.armed")
    try:
        storage.pack(float(pack_time), referencesf)
    except Exception as why:  # whatever it is: the storage must live on
        sys.stderr.write(f"{type(why).__name__}: {why}\n")
        status = FAILED
    committer.wait_for(3)
    committer.is_over = True
    committer.join()
    db.close()
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
