"""As which process of an instance a host reads what that instance mounts."""

from __future__ import annotations

from dataclasses import replace

from zmount.topology.hosts import Host
from zmount.topology.instances import Instance, Replica


def replica_near(host: Host, instance: Instance) -> Replica:
    """Return a process of INSTANCE on HOST, or one as if it were there.

    Files of another host are none of this one's, even where a file has the same path
    here: what such an instance mounts is read over ZEO, or not at all.
    """
    here = (each for each in instance.replicas if each.host.name == host.name)
    return next(here, replace(instance.replicas[0], host=host))
