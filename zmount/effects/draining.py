"""Telling a Zope, and through it its load balancers, that it wants no more visitors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zmount.agent.draining import FILE_NAME
from zmount.effects.answers import ask_http
from zmount.effects.process_table import busy_connections
from zmount.effects.zope_requests import requests_of
from zmount.errors import ProcessFailed
from zmount.topology.addresses import Address
from zmount.topology.instances import Replica

PAGE = "/@@zmount-alive"
_UNAVAILABLE = 503


@contextmanager
def draining(replica: Replica, pid: int) -> Iterator[None]:
    """Let the liveness page of REPLICA, process PID, answer 503 as long as the block lasts.

    :raises ProcessFailed: it cannot be told
    """
    path = Path(replica.var / FILE_NAME)
    try:
        path.unlink(missing_ok=True)
        # the directory is the instance's: what lies there must not lead us elsewhere
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o644), "w") as file:
            file.write(f"{pid}\n")
    except OSError as why:
        raise ProcessFailed(
            f"{replica.name}: {path} cannot be written: {why.strerror}",
            hint="act as the user who started it, or as root",
        ) from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def takes_visitors(address: Address, *, timeout_s: float = 2.0) -> bool:
    """True if the Zope at ADDRESS answers and is not draining; one without agent never is."""
    answer = ask_http(address, PAGE, timeout_s=timeout_s)
    return answer.is_answering and answer.status != _UNAVAILABLE


def at_work(replica: Replica, pid: int) -> int:
    """Return how many requests REPLICA, process PID, works on or still sends answers of.

    What only asks whether it is alive does not count.
    """
    requests = requests_of(replica, pid) or ()
    working = sum(1 for each in requests if not each.path.endswith(PAGE))
    return max(working, busy_connections(replica.http_address))
