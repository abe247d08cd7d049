"""systemd's timers of schedules, judged by systemd-analyze."""

from __future__ import annotations

import os
import random
import subprocess
from datetime import datetime, timezone
from pathlib import Path

import pytest
from test_systemd import units_of, verify
from topologies import topology_of

from zmount.render.activation import activation
from zmount.render.timers import on_calendar
from zmount.topology.cron import Cron, parse_cron

AROUND = """
scheduler systemd
<zeo zeo/>
<storage content/>
"""
JOBS = """
<schedule pack-all>
  job pack
  at 15 3 13 * fri
  jitter 10m
</schedule>
<schedule up>
  job start
  at @reboot
</schedule>
"""
START = datetime(2025, 1, 1, tzinfo=timezone.utc)


def systemd_times(event: str, number: int) -> list[datetime]:
    """Return the next times of EVENT after START, as systemd computes them."""
    done = subprocess.run(
        [
            "systemd-analyze",
            "calendar",
            f"--iterations={number}",
            f"--base-time={START:%Y-%m-%d %H:%M:%S} UTC",
            event,
        ],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C"},
    )
    lines = [
        line.partition(": ")[2]
        for line in done.stdout.splitlines()
        if line.strip().startswith(("Next elapse:", "Iter."))
    ]
    return [
        datetime.strptime(line, "%a %Y-%m-%d %H:%M:%S UTC").replace(tzinfo=timezone.utc)
        for line in lines
        if line != "never"
    ]


def both_times(at: Cron, number: int) -> tuple[list[datetime], list[datetime]]:
    """Return the next times of AT by cronsim, and by systemd as far as those go."""
    ours = [time for time, _ in zip(at.after(START), range(number), strict=False)]
    theirs = {time for event in on_calendar(at) for time in systemd_times(event, number)}
    return ours, sorted(time for time in theirs if time <= ours[-1])


@pytest.mark.parametrize("user", ["daemon", ""])
@pytest.mark.parametrize("manager", ["zdaemon", "systemd", "supervisor"])
def test_systemd_finds_nothing_wrong_with_the_units(manager: str, user: str, tmp_path: Path):
    text = (f"user {user}\n" if user else "") + AROUND + JOBS

    units = units_of(tmp_path, text, manager)

    assert {name for name in units if "schedule" in name} == {
        "zmount-schedule-pack-all.service",
        "zmount-schedule-pack-all.timer",
        "zmount-schedule-up.service",
    }
    assert verify(tmp_path, units) == ""


def test_a_timer_has_its_jitter_and_makes_up_for_what_it_missed(tmp_path: Path):
    timer = units_of(tmp_path, AROUND + JOBS)["zmount-schedule-pack-all.timer"].splitlines()

    assert "RandomizedDelaySec=600" in timer
    assert "Persistent=true" in timer
    assert "OnCalendar=*-*-13 3:15:00" in timer
    assert "OnCalendar=Fri *-*-* 3:15:00" in timer


def test_manager_systemd_has_timers_unless_told_otherwise(tmp_path: Path):
    assert "zmount-schedule-up.service" in units_of(tmp_path, AROUND[18:] + JOBS)
    assert not [
        name
        for name in units_of(tmp_path, "scheduler crontab\n" + AROUND[18:] + JOBS)
        if "schedule" in name
    ]


@pytest.mark.parametrize(
    "text",
    [
        "15 3 * * sun",
        "*/7 */5 * * *",
        "0 0 13 * fri",
        "0 0 */2 * fri",
        "0 0 * * 1-5",
        "30 4 1,15 jan-jun *",
        "0 0 29 2 *",
        "0 0 31 * *",
        "@hourly",
        "* * * * *",
        "5-59/10 1-5 10-20/3 */2 sat,sun",
    ],
)
def test_a_timer_comes_when_cron_would(text: str):
    ours, theirs = both_times(parse_cron(text), 12)

    assert theirs == ours


def random_field(chance: random.Random, low: int, high: int) -> str:
    kind = chance.randrange(5)
    if kind < 2:
        return "*"
    if kind == 2:
        return f"*/{chance.randint(2, 9)}"
    numbers = sorted(chance.sample(range(low, high + 1), 2))
    return f"{numbers[0]}-{numbers[1]}" if kind == 3 else f"{numbers[0]},{numbers[1]}"


def test_timers_of_many_random_lines_come_when_cron_would():
    chance = random.Random(6)
    for _ in range(40):
        ends = ((0, 59), (0, 23), (1, 28), (1, 12), (0, 7))
        text = " ".join(random_field(chance, low, high) for low, high in ends)
        ours, theirs = both_times(parse_cron(text), 6)
        assert theirs == ours, text


def test_the_units_are_linked_and_enabled_by_one_command(tmp_path: Path):
    topology = topology_of(tmp_path, "user zope\n" + AROUND + JOBS)
    units = f"{tmp_path}/etc/systemd/zmount-schedule"

    assert activation(topology, topology.hosts[0]) == (
        f"systemctl link {units}-pack-all.service && "
        f"systemctl enable --now {units}-pack-all.timer {units}-up.service"
    )


def test_units_where_systemd_looks_are_enabled_by_name(tmp_path: Path):
    topology = topology_of(tmp_path, "unit-directory /etc/systemd/system\n" + AROUND + JOBS)

    assert activation(topology, topology.hosts[0]) == (
        "systemctl --user daemon-reload && systemctl --user enable --now "
        "zmount-schedule-pack-all.timer zmount-schedule-up.service"
    )
