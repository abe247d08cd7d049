"""systemd's timers of a host's schedules, each with the service that it begins.

A job is a oneshot service. What it started outlives it (KillMode=process): a restart
leaves servers behind. Without processes of other users the units suit ``systemctl
--user``.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from zmount.render.crontab import has_users, run_command
from zmount.render.systemd import plain, unit_word
from zmount.render.text import Text
from zmount.topology.cron import Cron, in_ranges
from zmount.topology.hosts import Host
from zmount.topology.managers import job_unit, unit_directory
from zmount.topology.schedules import Schedule
from zmount.topology.topology import Topology

_SYSTEM = "/etc/systemd/system"
_DAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


def timers(topology: Topology, host: Host) -> Iterator[tuple[str, Text]]:
    """Yield the units of HOST's schedules by name."""
    for schedule in topology.schedules:
        if schedule.is_on(host):
            name = job_unit(topology, schedule)
            yield f"{name}.service", _service(topology, host, schedule)
            if not schedule.at.is_at_boot:
                yield f"{name}.timer", _timer(topology, schedule)


def on_calendar(at: Cron) -> tuple[str, ...]:
    """Return the calendar events of systemd that together are AT.

    To systemd both the day of the week and the date must be right; where one of them is
    enough there are two events.
    """
    time = f"{_numbers(at.hours, 24)}:{_numbers(at.minutes, 60)}:00"
    months, days = _numbers(at.months, 12), _numbers(at.days, 31)
    weekdays = ",".join(_DAYS[day] for day in at.weekdays) + " " if len(at.weekdays) < 7 else ""
    if at.is_either_day:
        return (f"*-{months}-{days} {time}", f"{weekdays}*-{months}-* {time}")
    return (f"{weekdays}*-{months}-{days} {time}",)


def _numbers(numbers: tuple[int, ...], all_: int) -> str:
    return "*" if len(numbers) == all_ else in_ranges(numbers, "..")


def _timer(topology: Topology, schedule: Schedule) -> Text:
    text = Text()
    text.add("[Unit]", _description(topology, schedule), "", "[Timer]")
    text.add(*(f"OnCalendar={event}" for event in on_calendar(schedule.at)))
    if schedule.jitter_s:
        text.add(f"RandomizedDelaySec={schedule.jitter_s}")
    # late is better than never, where no window forbids it: the run looks at those
    text.add("AccuracySec=1s", "Persistent=true", "", "[Install]", "WantedBy=timers.target")
    return text


def _service(topology: Topology, host: Host, schedule: Schedule) -> Text:
    text = Text()
    is_at_boot = schedule.at.is_at_boot
    words = (*run_command(topology, host), *(("--cron",) if is_at_boot else ()), schedule.name)
    text.add(
        "[Unit]",
        _description(topology, schedule),
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        "Type=oneshot",
        "ExecStart=" + " ".join(unit_word(each) for each in words),
        "KillMode=process",
        "TimeoutStartSec=infinity",
    )
    if is_at_boot:  # a timer that is enabled later would begin it at once
        target = "multi-user.target" if has_users(topology, host) else "default.target"
        text.add("", "[Install]", f"WantedBy={target}")
    return text


def _description(topology: Topology, schedule: Schedule) -> str:
    return f"Description=zmount job {schedule.name} of {plain(topology.file)}"


def timer_activation(topology: Topology, host: Host, *, is_root: bool) -> str:
    """Return the command that makes systemd begin HOST's jobs."""
    is_system = is_root or has_users(topology, host)
    systemctl = "systemctl" if is_system else "systemctl --user"
    directory = unit_directory(topology, host)
    services: list[str] = []
    begun: list[str] = []
    for schedule in topology.schedules:
        if schedule.is_on(host):
            path = str(directory / job_unit(topology, schedule))
            (begun if schedule.at.is_at_boot else services).append(f"{path}.service")
            begun += [] if schedule.at.is_at_boot else [f"{path}.timer"]
    if str(directory) == _SYSTEM:
        names = shlex.join(path.rpartition("/")[2] for path in begun)
        return f"{systemctl} daemon-reload && {systemctl} enable --now {names}"
    linked = f"{systemctl} link {shlex.join(services)} && " if services else ""
    return f"{linked}{systemctl} enable --now {shlex.join(begun)}"
