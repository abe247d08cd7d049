"""Jobs that cron or systemd begins still, though zmount.conf has them no more.

Each run of such a job fails, or does what nobody wants any more. zmount changes no crontab
and enables no timer by itself: it says the command that ends it.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Literal

from zmount.effects.begun_jobs import CronJob, jobs_of_cron, units_of_systemd
from zmount.effects.person import user_id
from zmount.render.activation import activation
from zmount.render.crontab import crontab_removal, has_users
from zmount.topology.hosts import Host
from zmount.topology.managers import job_unit_prefix, unit_directory
from zmount.topology.topology import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehind:
    """The job NAME that BY begins; ``forget`` is the command that ends it."""

    name: str
    by: Literal["cron", "systemd"]
    forget: str

    def __str__(self) -> str:
        return f"{self.name}: {self.by} begins it still; this ends it: {self.forget}"

    def as_json(self) -> dict[str, str]:
        """Return this for ``--json``."""
        return {"name": self.name, "by": self.by, "forget": self.forget}


def left_behind(topology: Topology, host: Host) -> tuple[LeftBehind, ...]:
    """Return the jobs of HOST that are begun though TOPOLOGY does not say so, by name."""
    wanted = {each.name for each in topology.schedules if each.is_on(host)}
    by_cron = wanted if topology.scheduler == "crontab" else set()
    by_systemd = wanted if topology.scheduler == "systemd" else set()
    found = [
        LeftBehind(name=job.name, by="cron", forget=_out_of_cron(topology, host, job))
        for job in jobs_of_cron(topology.file)
        if job.host in ("", host.name) and job.name not in by_cron
    ]
    units = units_of_systemd(unit_directory(topology, host), job_unit_prefix(topology))
    found += [
        LeftBehind(name=name, by="systemd", forget=_disable(topology, host, names))
        for name, names in units.items()
        if name not in by_systemd
    ]
    return tuple(sorted(set(found), key=lambda each: (each.name, each.by)))


def _out_of_cron(topology: Topology, host: Host, job: CronJob) -> str:
    """Return the command that takes JOB out of the crontab where it is."""
    if topology.scheduler == "crontab" and (again := activation(topology, host)):
        return again  # it replaces all of ours that was there
    return f"rm {shlex.quote(job.where)}" if job.where else crontab_removal(topology)


def _disable(topology: Topology, host: Host, units: tuple[str, ...]) -> str:
    is_system = user_id() == 0 or has_users(topology, host)
    systemctl = "systemctl" if is_system else "systemctl --user"
    return f"{systemctl} disable --now {shlex.join(units)}"
