"""What a shell offers for names of the topology."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from zmount.cli.app import App
from zmount.errors import ZMountError

if TYPE_CHECKING:
    from zmount.topology.topology import Topology


def process_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the ZEO servers, instances and replicas whose names begin with INCOMPLETE."""
    topology = _topology(ctx)
    return [] if topology is None else _beginning(incomplete, _processes(topology))


def logged_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the processes and schedules, which have logs, whose names begin with INCOMPLETE."""
    names = process_names(ctx, param, incomplete)
    return [*names, *schedule_names(ctx, param, incomplete)]


def storage_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the storages whose names begin with INCOMPLETE."""
    topology = _topology(ctx)
    names = [] if topology is None else [storage.name for storage in topology.storages]
    return _beginning(incomplete, names)


def site_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the sites whose names begin with INCOMPLETE."""
    topology = _topology(ctx)
    return _beginning(incomplete, [] if topology is None else [s.name for s in topology.sites])


def schedule_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the schedules whose names begin with INCOMPLETE."""
    topology = _topology(ctx)
    return _beginning(incomplete, [] if topology is None else [s.name for s in topology.schedules])


def all_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return everything that has a name in the topology and begins with INCOMPLETE."""
    topology = _topology(ctx)
    if topology is None:
        return []
    names = _processes(topology) + [schedule.name for schedule in topology.schedules]
    names += [host.name for host in topology.hosts] + [site.name for site in topology.sites]
    return _beginning(incomplete, names + [storage.name for storage in topology.storages])


def _topology(ctx: click.Context) -> Topology | None:
    """Return the topology that the unfinished command is about; None if there is none."""
    app = ctx.ensure_object(App)  # knows what -f said, before or after the command's name
    try:
        return app.topology
    except ZMountError:
        return None  # a shell that completes is no place for messages


def _processes(topology: Topology) -> list[str]:
    names = [server.name for server in topology.zeo_servers]
    names += [instance.name for instance in topology.instances]
    return names + [replica.name for replica in topology.replicas]


def _beginning(incomplete: str, names: list[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]
