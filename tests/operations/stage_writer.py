"""Somebody who commits to a staging storage, while something else is done with it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import transaction
from deployments import wait_until
from swapping import STAGING, Swaps
from ZODB.blob import Blob

BLOBS = 5  # their names are the count of the commit by this


@contextmanager
def writing(swaps: Swaps, cache: Path) -> Iterator[list[int]]:
    """Let a ZEO client write a count and a blob, again and again; yield the counts so far."""
    written: list[int] = []
    is_done = threading.Event()
    database = swaps.client(STAGING, blob_dir=str(cache))

    def write() -> None:
        connection = database.open(transaction.TransactionManager())
        while not is_done.is_set():
            count = connection.root()["count"] = len(written) + 1
            connection.root()[f"blob {count % BLOBS}"] = Blob(b"%d" % count)
            connection.transaction_manager.commit()
            written.append(count)
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_until(lambda: written, "something is written")
        yield written
    finally:
        is_done.set()
        writer.join()
