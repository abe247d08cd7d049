"""What runs when, when it ran last, and what was missed."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from deployments import Deployment, wait_until

from zmount.effects.history import history_file

Deploy = Callable[[str], Deployment]
TEXT = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage content/>
<schedule often>
  job command
  command {command}
  at * * * * *
  {more}
</schedule>
"""


def text(command: str = "true", more: str = "") -> str:
    return TEXT.replace("{command}", command).replace("{more}", more)


def age(deployment: Deployment, seconds: float) -> None:
    """Let the crontab be as old as if it had been applied so long ago."""
    then = time.time() - seconds
    os.utime(deployment.directory / "etc" / "crontab", (then, then))


def told(deployment: Deployment, **environment: str) -> tuple[int, dict[str, Any]]:
    """Return the exit status of zmount schedule, and the only job that it tells of."""
    done = subprocess.run(
        [sys.executable, "-m", "zmount", "-f", str(deployment.conf), "schedule", "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
    (job,) = json.loads(done.stdout)["jobs"]
    return done.returncode, job


def test_what_was_never_applied_is_told(deploy: Deploy):
    deployment = deploy(text())
    Path(deployment.directory / "etc" / "crontab").unlink()

    status, job = told(deployment)

    assert (status, job["state"]) == (1, "not applied")


def test_what_was_just_applied_waits_for_its_time(deploy: Deploy):
    status, job = told(deploy(text()))

    assert (status, job["state"]) == (0, "waiting")
    assert job["last"] is None
    assert len(job["next"]) == 3


def test_a_job_whose_machine_was_off_is_missed_until_it_runs(deploy: Deploy):
    deployment = deploy(text())
    age(deployment, 3600)

    status, job = told(deployment)
    assert (status, job["state"]) == (1, "missed")
    shown = deployment.zmount("schedule")
    assert "MISSED" in shown.stdout
    assert "did not run: zmount run often" in shown.stdout

    assert deployment.zmount("run", "often").returncode == 0
    status, job = told(deployment)
    assert (status, job["state"]) == (0, "done")
    assert job["last"]["result"] == "done"


def test_what_changed_a_moment_ago_is_not_missed_for_its_new_time(deploy: Deploy):
    deployment = deploy(text())
    age(deployment, 3600)
    deployment.rewrite(text().replace("* * * * *", "*/2 * * * *"))

    assert told(deployment)[1]["state"] == "not applied"

    deployment.write_files()
    assert told(deployment)[1]["state"] == "waiting"


def test_a_time_outside_of_the_windows_is_not_missed(deploy: Deploy):
    hour = (time.localtime().tm_hour + 6) % 24
    deployment = deploy(text(more=f"window {hour:02}:00-{(hour + 1) % 24:02}:00"))
    age(deployment, 3600)

    status, job = told(deployment)

    assert (status, job["state"]) == (0, "waiting")
    assert f"T{hour:02}:00:00" in job["next"][0]


def test_a_run_that_failed_is_told(deploy: Deploy):
    deployment = deploy(text("exit 5"))
    deployment.zmount("run", "often")

    status, job = told(deployment)

    assert (status, job["state"], job["last"]["exit_status"]) == (1, "failed", 5)
    assert "exit status 5" in deployment.zmount("schedule", "often").stdout


@pytest.mark.parametrize(("zone", "offset"), [("Asia/Kathmandu", "+05:45"), ("UTC", "+00:00")])
def test_times_are_those_of_the_machines_zone(deploy: Deploy, zone: str, offset: str):
    deployment = deploy(text().replace("* * * * *", "30 4 * * *"))

    _, job = told(deployment, TZ=zone)

    assert job["next"][0].endswith(f"T04:30:00{offset}")


def test_a_host_without_schedules_says_so(deploy: Deploy):
    done = deploy("<zeo zeo/>\n<storage content/>\n").zmount("schedule")

    assert done.returncode == 0
    assert "has no schedule" in done.stdout


def test_a_run_that_is_at_work_when_the_next_is_due_is_told(deploy: Deploy):
    deployment = deploy(text("sleep 100"))
    age(deployment, 3600)
    process = subprocess.Popen(
        [sys.executable, "-m", "zmount", "-f", str(deployment.conf), "run", "often"]
    )
    try:
        wait_until(lambda: told(deployment)[1]["state"] == "running", "the job to begin")
        assert told(deployment)[0] == 0
        file = history_file(deployment.conf)
        with sqlite3.connect(file) as database:  # as if it had begun so long ago
            database.execute("UPDATE entries SET began = began - 600")

        status, job = told(deployment)

        assert (status, job["state"]) == (1, "running")
        assert job["missed"] is not None
        assert "is at work still" in deployment.zmount("schedule").stdout
        health = deployment.zmount("health", "--only", "schedule")
        assert "it runs for 10 min, and was due again at" in health.stdout
    finally:
        process.terminate()
        process.wait()


@pytest.mark.parametrize(
    ("options", "status"), [("--only zeo", 0), ("--prometheus-file none/x", 1)]
)
def test_a_health_job_that_finds_something_is_well_and_one_that_cannot_look_is_not(
    deploy: Deploy, options: str, status: int
):
    job = f"job health\n  options {options}"
    deployment = deploy(text().replace("job command\n  command true", job))

    assert deployment.zmount("run", "often").returncode != 0

    assert deployment.zmount("health", "--only", "schedule").returncode == status
