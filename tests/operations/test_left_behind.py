"""What cron and systemd begin still, though zmount.conf has it no more, is told."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from deployments import Deployment

Deploy = Callable[[str], Deployment]
CONTENT = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage content/>
"""
# a crontab program of its own: it prints what it has, or takes what it is told
CRONTAB = """#!/bin/sh
case "$1" in
  -l) cat {kept} ;;
  -) cat >{kept}.new; mv {kept}.new {kept} ;;
esac
"""


def job(name: str) -> str:
    return f"<schedule {name}>\n  job command\n  command true\n  at 0 3 * * *\n</schedule>\n"


def say(deployment: Deployment, text: str) -> None:
    """Let TEXT be what the topology says from now on, and its files be right."""
    deployment.conf.write_text(deployment.conf.read_text().partition(CONTENT)[0] + CONTENT + text)
    deployment.write_files()


def left(deployment: Deployment) -> tuple[int, list[dict[str, str]]]:
    """Return the exit status of zmount schedule, and what it tells was left behind."""
    done = deployment.zmount("--json", "schedule")
    return done.returncode, json.loads(done.stdout)["left_behind"]


@pytest.fixture
def cron(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that holds what cron knows; there is a crontab program for it."""
    kept = tmp_path / "kept"
    kept.write_text("MAILTO=me\n5 5 * * * backup -f x run --cron y\n")
    program = tmp_path / "crontab"
    program.write_text(CRONTAB.format(kept=kept))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return kept


def activate(deployment: Deployment) -> None:
    command = json.loads(deployment.zmount("--json", "schedule").stdout)["activation"]
    subprocess.run(["/bin/sh", "-c", command], check=True)


def test_a_job_that_is_no_more_is_told_until_cron_forgets_it(deploy: Deploy, cron: Path):
    deployment = deploy(CONTENT + job("night") + job("gone"))
    activate(deployment)
    assert left(deployment) == (0, [])

    say(deployment, job("night"))

    status, (told,) = left(deployment)
    assert (status, told["name"], told["by"]) == (1, "gone", "cron")
    assert "not in zmount.conf any more: gone" in deployment.zmount("schedule").stdout
    health = deployment.zmount("health", "--only", "schedule")
    assert "schedule gone" in health.stdout and health.returncode == 1
    subprocess.run(["/bin/sh", "-c", told["forget"]], check=True)
    assert left(deployment) == (0, [])
    assert "run --cron night" in cron.read_text()


def test_apply_tells_what_lets_cron_forget_the_last_job(deploy: Deploy, cron: Path):
    deployment = deploy(CONTENT + job("night"))
    activate(deployment)
    say(deployment, "")

    done = deployment.zmount("apply")

    assert "not in zmount.conf any more: night: cron begins it still" in done.stdout
    ((_, command),) = [
        line.split("this ends it: ") for line in done.stdout.splitlines() if "night" in line
    ]
    subprocess.run(["/bin/sh", "-c", command], check=True)
    assert left(deployment) == (0, [])
    assert cron.read_text() == "MAILTO=me\n5 5 * * * backup -f x run --cron y\n"


def test_what_systemd_does_now_is_not_done_by_cron_once_more(deploy: Deploy, cron: Path):
    deployment = deploy(CONTENT + job("night"))
    activate(deployment)
    say(deployment, "scheduler systemd\n" + job("night"))

    status, (told,) = left(deployment)

    assert (status, told["name"], told["by"]) == (1, "night", "cron")
    assert told["forget"].endswith("| crontab -")


def test_another_hosts_jobs_are_its_own(deploy: Deploy, cron: Path):
    deployment = deploy(CONTENT + job("night"))
    line = f"0 3 * * * zmount -f {deployment.conf} --host other run --cron gone\n"
    cron.write_text(line)
    assert left(deployment) == (0, [])

    cron.write_text(line.replace("--host other ", ""))
    assert left(deployment)[0] == 1


def test_a_timer_without_a_schedule_is_disabled_by_what_is_told(
    deploy: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    # as systemctl --user link and enable leave it
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    deployment = deploy(CONTENT + "scheduler systemd\n" + job("night") + job("gone"))
    known = tmp_path / "systemd" / "user"
    wants = known / "timers.target.wants"
    wants.mkdir(parents=True)
    for unit in (deployment.directory / "etc" / "systemd").glob("zmount-schedule-*"):
        (known / unit.name).symlink_to(unit)
        if unit.suffix == ".timer":
            (wants / unit.name).symlink_to(unit)
    foreign = wants / "zmount-schedule-theirs.timer"
    foreign.symlink_to("/srv/other/etc/systemd/zmount-schedule-theirs.timer")
    assert left(deployment) == (0, [])

    say(deployment, "scheduler systemd\n" + job("night"))

    status, (told,) = left(deployment)
    assert (status, told["name"], told["by"]) == (1, "gone", "systemd")
    units = "zmount-schedule-gone.service zmount-schedule-gone.timer"
    assert told["forget"].endswith(f" disable --now {units}")
