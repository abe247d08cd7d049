"""Telling a Zope, and through it its load balancers, that it wants no more visitors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zmount.agent.draining import DRAINS, FILE_NAME, INTENDS
from zmount.effects.answers import ask_http
from zmount.effects.process_table import busy_connections
from zmount.effects.zope_requests import ALIVE, work_of
from zmount.errors import ProcessFailed
from zmount.topology.addresses import Address
from zmount.topology.instances import Replica

_UNAVAILABLE = 503


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """What the liveness page of REPLICA, process ``pid``, is told."""

    replica: Replica
    pid: int

    def intend(self) -> None:
        """Let zmount on other hosts know that this one is the next; balancers do not see it.

        :raises ProcessFailed: it cannot be told
        """
        self._write(INTENDS)

    def begin(self) -> None:
        """Let load balancers send it no more requests.

        :raises ProcessFailed: it cannot be told
        """
        self._write(DRAINS)

    def end(self) -> None:
        """Take visitors again."""
        self._path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        return Path(self.replica.var / FILE_NAME)

    def _write(self, word: str) -> None:
        new = self._path.with_name(FILE_NAME + ".new")
        try:
            new.unlink(missing_ok=True)
            # the directory is the instance's: what lies there must not lead us elsewhere
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(new, flags, 0o644), "w") as file:
                file.write(f"{self.pid} {word} {os.getpid()}\n")  # no longer than we live
            new.replace(self._path)
        except OSError as why:
            raise ProcessFailed(
                f"{self.replica.name}: {why.filename} cannot be written: {why.strerror}",
                hint="act as the user who started it, or as root",
            ) from None


@contextmanager
def draining(replica: Replica, pid: int) -> Iterator[Drain]:
    """Yield what tells REPLICA, process PID, to drain; it takes visitors again at the end."""
    drain = Drain(replica=replica, pid=pid)
    try:
        yield drain
    finally:
        drain.end()


def takes_visitors(address: Address, *, and_goes_on: bool = False, timeout_s: float = 2.0) -> bool:
    """True if the Zope at ADDRESS answers and is not draining; one without agent never is.

    With AND_GOES_ON it must not intend to drain either.
    """
    answer = ask_http(address, ALIVE, timeout_s=timeout_s)
    is_taking = answer.is_answering and answer.status != _UNAVAILABLE
    return is_taking and not (and_goes_on and answer.text.startswith(INTENDS))


def at_work(replica: Replica, pid: int) -> int:
    """Return how many requests REPLICA, process PID, works on or still sends answers of.

    What only asks whether it is alive does not count.
    """
    working = work_of(replica, pid) or ()
    return max(len(working), busy_connections(replica.http_address))
