"""A process that commits to a FileStorage until it is ended: what clones are taken from.

Each transaction changes an object and, every third time, stores a new blob, the
way ZEO does it. Now and then one is voted on and aborted. With "pack" as third
argument the storage is packed again and again: every blob is garbage.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from histories import blob_record, record
from ZODB.Connection import TransactionMetaData
from ZODB.FileStorage import FileStorage
from ZODB.utils import p64, z64

from zmount.filestorage.packer import pack


def main(path: Path, blob_dir: Path, *, packs: bool) -> None:
    storage = FileStorage(str(path), blob_dir=str(blob_dir), packer=pack)
    serials: dict[int, bytes] = {}
    number = 0
    while True:
        number += 1
        transaction = TransactionMetaData(description=f"number {number}")
        storage.tpc_begin(transaction)
        oid = (number - 1) % 50  # the root first
        data = record((), f"{number} " * 200)
        storage.store(p64(oid), serials.get(oid, z64), data, "", transaction)
        blob_oid = 0
        if number % 3 == 0:
            blob_oid = 1000 + number
            new = blob_dir / "tmp" / f"{number}.new"
            new.write_bytes(b"blob %d" % blob_oid)
            storage.store(p64(blob_oid), z64, blob_record(), "", transaction)
            storage.storeBlob(p64(blob_oid), z64, blob_record(), str(new), "", transaction)
        storage.tpc_vote(transaction)
        if number % 7 == 0:
            time.sleep(0.005)  # the file has a transaction with status "c" at its end
            storage.tpc_abort(transaction)
            continue
        serials[oid] = storage.tpc_finish(transaction)
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        if packs and number % 20 == 0:
            storage.pack(time.time(), lambda data: [])


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), packs="pack" in sys.argv[3:])
