"""What a Zope process says that its threads are working on, in a file beside its data."""

from __future__ import annotations

from pathlib import Path

from zmount.agent.requests import FILE_NAME, Request, requests_in
from zmount.topology.instances import Replica

ALIVE = "/@@zmount-alive"  # the agent's liveness page


def requests_of(replica: Replica, pid: int | None) -> tuple[Request, ...] | None:
    """Return the requests that the process PID of REPLICA works on, longest first.

    None: it does not run, has no agent, or its file may not be read.
    """
    if pid is None:
        return None
    try:
        return requests_in(Path(replica.var / FILE_NAME), pid)
    except OSError:
        return None


def work_of(replica: Replica, pid: int | None) -> tuple[Request, ...] | None:
    """Return the same without those that only ask whether it is alive, under whatever path."""
    requests = requests_of(replica, pid)
    if requests is None:
        return None
    return tuple(each for each in requests if not each.path.endswith(ALIVE))
