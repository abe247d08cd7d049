"""Schedules as plain values, for JSON and for listings."""

from __future__ import annotations

from typing import Any

from zmount.topology.schedules import Schedule
from zmount.topology.topology import Topology


def schedules_facts(topology: Topology) -> dict[str, Any]:
    """Return TOPOLOGY's schedules, and what begins them and mails about them."""
    return {
        "scheduler": topology.scheduler,
        "crontab": None if topology.crontab is None else str(topology.crontab),
        "mails": {"server": topology.mails.server, "sender": topology.mails.sender},
        "schedules": [schedule_facts(schedule) for schedule in topology.schedules],
    }


def schedule_facts(schedule: Schedule) -> dict[str, Any]:
    """Return all that is said of SCHEDULE; ``of`` is empty for all of a host."""
    return {
        "name": schedule.name,
        "job": schedule.job,
        "at": schedule.at.text,
        "hosts": [host.name for host in schedule.hosts],
        "of": [named.name for named in schedule.of],
        "jitter_s": schedule.jitter_s,
        "windows": [window.text for window in schedule.windows],
        "wait_s": schedule.wait_s,
        "timeout_s": schedule.timeout_s,
        "options": list(schedule.options),
        "command": schedule.command,
        "user": schedule.user,
        "on_failure": schedule.on_failure,
        "mail": list(schedule.mail),
        "place": str(schedule.place),
    }
