"""Where the files and sockets of the process managers are."""

from __future__ import annotations

from pathlib import PurePosixPath

from zmount.topology.hosts import Host
from zmount.topology.processes import Process
from zmount.topology.schedules import Schedule
from zmount.topology.topology import Topology


def unit_name(process: Process) -> str:
    """Return what systemd calls PROCESS."""
    return f"{process.unit_prefix}-{process.name}.service"


def target(topology: Topology) -> str:
    """Return what systemd calls everything that is started at boot."""
    return f"{topology.unit_prefix}.target"


def boot_service(topology: Topology) -> str:
    """Return what systemd calls the start of zdaemons or supervisord at boot."""
    return f"{topology.unit_prefix}.service"


def job_unit(topology: Topology, schedule: Schedule) -> str:
    """Return what systemd calls SCHEDULE, without .timer and .service."""
    return job_unit_prefix(topology) + schedule.name


def job_unit_prefix(topology: Topology) -> str:
    """Return what the units of all schedules begin with."""
    return f"{topology.unit_prefix}-schedule-"


def crontab(topology: Topology, host: Host) -> PurePosixPath:
    """Return where HOST's crontab of schedules is generated."""
    return _on(host, topology, topology.crontab) if topology.crontab else host.etc / "crontab"


def unit_directory(topology: Topology, host: Host) -> PurePosixPath:
    """Return where HOST's systemd units are generated."""
    said = topology.unit_directory
    return host.etc / "systemd" if said is None else _on(host, topology, said)


def _on(host: Host, topology: Topology, path: PurePosixPath) -> PurePosixPath:
    """Return PATH, said for the first host, as it is on HOST."""
    try:
        return host.directory / path.relative_to(topology.hosts[0].directory)
    except ValueError:
        return path


def supervisor_conf(host: Host) -> PurePosixPath:
    """Return supervisord's configuration on HOST."""
    return host.etc / "supervisord.conf"


def supervisor_socket(host: Host) -> PurePosixPath:
    """Return where HOST's supervisord listens for supervisorctl."""
    return host.directory / "var" / "supervisor.sock"


def environment_file(process: Process) -> PurePosixPath:
    """Return the file (mode 0600) of the secrets in PROCESS's environment.

    systemd shows a unit's own variables to every user of the machine.
    """
    return process.directory / "etc" / "environment"
