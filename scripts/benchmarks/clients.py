"""A client of a ZEO server that measures: ``clients.py write|read ADDRESS STORAGE RATE SAMPLES``.

Its input begins with a line of JSON, the oids that a reader loads. It commits
or loads so many times a second, as evenly as it can, until its input ends. Then
it writes what it saw to the file SAMPLES: pairs of 8-byte floats, when a call
began (on the clock that all processes of a machine share) and how long it took,
both in seconds.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

import transaction
from persistent.mapping import PersistentMapping
from ZEO.ClientStorage import ClientStorage
from ZEO.Exceptions import ClientDisconnected
from ZODB import DB
from ZODB.POSException import POSKeyError, ReadConflictError
from ZODB.utils import load_current, p64

OBJECTS = 100  # that a writer changes in turn
READER_CACHE_BYTES = 1 << 16  # next to nothing: the server shall answer
AGAIN_S = 0.001  # after a load that a swap has broken off


def writer(address: str, name: str) -> Callable[[int], None]:
    """Return a function that changes an object of this client's own and commits."""
    connection = DB(ClientStorage(address, storage=name, wait_timeout=60)).open()
    objects = [PersistentMapping() for _ in range(OBJECTS)]
    connection.root()[f"writer-{random.getrandbits(64):x}"] = PersistentMapping(enumerate(objects))
    transaction.commit()

    def commit(number: int) -> None:
        objects[number % OBJECTS]["number"] = number
        transaction.commit()

    return commit


def reader(address: str, name: str, oids: Sequence[int]) -> Callable[[int], None]:
    """Return a function that loads one of the objects, again until the server answers."""
    storage = ClientStorage(address, storage=name, wait_timeout=60, cache_size=READER_CACHE_BYTES)

    def load(number: int) -> None:
        oid = p64(random.choice(oids))
        is_answered = False
        while not is_answered:
            try:
                load_current(storage, oid)
                is_answered = True
            except POSKeyError:
                is_answered = True  # a stage that is empty as yet
            except (ClientDisconnected, ReadConflictError):
                time.sleep(AGAIN_S)

    return load


def samples(call: Callable[[int], None], rate: float, is_over: threading.Event) -> array[float]:
    """CALL so many times a second until IS_OVER; return start and length of each call."""
    taken = array("d")
    number, due = 0, time.perf_counter()
    while not is_over.wait(max(0.0, due - time.perf_counter())):
        start = time.perf_counter()
        call(number)
        end = time.perf_counter()
        taken.extend((start, end - start))
        number += 1
        due = max(due + 1 / rate, end)  # what came too late is not made up for
    return taken


def main() -> None:
    """Be a client."""
    kind, address, name, rate, path = sys.argv[1:]
    oids = json.loads(sys.stdin.readline())
    call = writer(address, name) if kind == "write" else reader(address, name, oids)
    is_over = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        is_over.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    print("ready", flush=True)
    Path(path).write_bytes(samples(call, float(rate), is_over).tobytes())


if __name__ == "__main__":
    main()
