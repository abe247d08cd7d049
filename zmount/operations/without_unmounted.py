"""A topology without the mounts that its instances must not even open.

A Zope opens every database of its zope.conf when it starts, and does not start where one
cannot be opened. So a site can be taken off-line with its database.
"""

from __future__ import annotations

from dataclasses import replace

from zmount.operations.offline_facts import known_offline
from zmount.topology.instances import Instance
from zmount.topology.topology import Topology


def without_unmounted(topology: Topology) -> Topology:
    """Return TOPOLOGY as its instances are to be run now."""
    out = {
        (each.instance, each.path) for each in known_offline(topology.hosts) if each.is_unmounted
    }
    if not out:
        return topology
    return replace(
        topology, instances=tuple(_without(instance, out) for instance in topology.instances)
    )


def _without(instance: Instance, out: set[tuple[str, str]]) -> Instance:
    kept = tuple(
        mount
        for mount in instance.mounts
        if not mount.points
        or any((instance.name, point.virtual) not in out for point in mount.points)
    )
    return replace(instance, mounts=kept)
