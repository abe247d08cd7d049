"""Scheduled jobs are done one at a time, in their windows, and their failures are told."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from deployments import Deployment, commands, free_port, wait_until

from zmount.effects.history import Entry, Search, entries, history_file

Deploy = Callable[[str], Deployment]
AROUND = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage content/>
"""
SCRIPT = Path(__file__).parents[2] / "scripts" / "zmount-run"


def job(text: str, name: str = "night", *, at: str = "0 3 * * *", kind: str = "command") -> str:
    """Return a topology's schedule."""
    return f"<schedule {name}>\n  job {kind}\n  at {at}\n{text}\n</schedule>\n"


def runs(deployment: Deployment) -> list[Entry]:
    """Return what the history tells of runs, oldest first."""
    return list(entries(history_file(deployment.conf), Search(operation="run")))


def log(deployment: Deployment, name: str = "night") -> str:
    """Return the text of a job's log."""
    return (deployment.directory / "log" / f"{name}.log").read_text()


def begun(deployment: Deployment, name: str = "night", *options: str) -> subprocess.Popen[str]:
    """Begin a run that goes on in the background."""
    return subprocess.Popen(
        [sys.executable, "-m", "zmount", "-f", str(deployment.conf), "run", *options, name],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_job_is_done_and_leaves_a_log_and_an_entry(deploy: Deploy):
    deployment = deploy(AROUND + job("  command echo one; echo two >&2; echo $$ZMOUNT_JOB"))

    done = deployment.zmount("run", "night")

    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert log(deployment).splitlines()[1:-1] == ["one", "two", "night"]
    (entry,) = runs(deployment)
    assert (entry.result, entry.job, entry.subjects) == ("done", "night", ("night",))


def test_a_job_of_zmounts_own_is_what_a_person_would_type(deploy: Deploy):
    deployment = deploy(AROUND + job("  options --days 3", kind="pack"))

    planned = deployment.zmount("run", "night", "--dry-run")
    done = deployment.zmount("run", "night")

    assert "would do: zmount pack --days 3 --all" in planned.stdout
    assert done.returncode == 0, done.stderr + log(deployment)
    assert "it has no Data.fs yet" in log(deployment)


def test_a_failed_job_ends_with_its_own_exit_status_and_its_last_lines(deploy: Deploy):
    deployment = deploy(AROUND + job("  command echo no room left; exit 17"))

    done = deployment.zmount("run", "night")

    assert done.returncode == 17
    assert "exit status 17" in done.stderr
    assert "  | no room left" in done.stderr
    assert str(deployment.directory / "log" / "night.log") in done.stderr
    (entry,) = runs(deployment)
    assert (entry.result, entry.exit_status) == ("failed", 17)


def test_a_health_job_that_finds_something_says_how_bad_it_is(deploy: Deploy):
    deployment = deploy(AROUND + job("", kind="health"))

    done = deployment.zmount("run", "night")

    assert done.returncode == 2
    assert "job night failed: zmount health says critical, after" in done.stderr
    assert "zeo: does not answer" in done.stderr


def test_a_job_that_a_signal_ended_says_so_as_a_shell_does(deploy: Deploy):
    deployment = deploy(AROUND + job("  command kill -9 $$$$"))

    done = deployment.zmount("run", "night")

    assert done.returncode == 128 + 9
    assert "signal 9" in done.stderr


def test_a_job_that_takes_too_long_is_ended_with_all_that_it_began(deploy: Deploy):
    deployment = deploy(AROUND + job("  command sleep 345 & sleep 346\n  timeout 1s"))

    done = deployment.zmount("run", "night")

    assert done.returncode == 27
    assert "took longer than 1 s" in done.stderr
    assert not [c for _, c in commands() if c in (["sleep", "345"], ["sleep", "346"])]


def test_a_second_run_leaves_while_the_first_is_at_work(deploy: Deploy):
    deployment = deploy(AROUND + job("  command sleep 30"))
    first = begun(deployment)
    try:
        wait_until(lambda: (deployment.directory / "log" / "night.log").exists(), "it runs")
        second = deployment.zmount("run", "night")
    finally:
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=20)

    assert second.returncode == 7
    assert "at work still" in second.stderr
    assert f"pid {first.pid}" in second.stderr
    (entry,) = runs(deployment)
    assert (entry.result, first.returncode) == ("interrupted", 130)
    assert not [c for _, c in commands() if c == ["sleep", "30"]]


def test_runs_that_wait_are_done_one_after_the_other(deploy: Deploy):
    # mkdir fails if another run is in between
    command = "  command mkdir busy && sleep 0.3 && rmdir busy\n  if-running wait 60s"
    deployment = deploy(AROUND + job(command))

    three = [begun(deployment) for _ in range(3)]
    ended = [run.communicate(timeout=60)[1] for run in three]

    assert [run.returncode for run in three] == [0, 0, 0], ended
    assert [entry.result for entry in runs(deployment)] == ["done"] * 3


def test_a_run_that_waited_in_vain_is_a_failure(deploy: Deploy):
    told = "  on-failure echo $$ZMOUNT_EXIT_STATUS $$ZMOUNT_SENTENCE >told"
    deployment = deploy(AROUND + job(f"  command sleep 30\n  if-running wait 1s\n{told}"))
    first = begun(deployment)
    try:
        wait_until(lambda: (deployment.directory / "log" / "night.log").exists(), "it runs")
        second = deployment.zmount("run", "night")
    finally:
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=20)

    assert second.returncode == 7
    assert (deployment.directory / "told").read_text().startswith("7 job night is at work still")
    assert "refused" in [entry.result for entry in runs(deployment)]


def test_a_job_does_not_outlive_a_zmount_that_is_killed(deploy: Deploy):
    deployment = deploy(AROUND + job("  command exec sleep 347"))
    run = begun(deployment)
    wait_until(lambda: [c for _, c in commands() if c == ["sleep", "347"]], "it runs")

    run.kill()
    run.communicate(timeout=20)

    wait_until(lambda: not [c for _, c in commands() if c == ["sleep", "347"]], "it is gone")
    (entry,) = runs(deployment)
    assert entry.result == "did not end"
    assert deployment.zmount("run", "--dry-run", "night").returncode == 0


def closed_window() -> str:
    """Return hours that the present moment is far from."""
    hour = (time.localtime().tm_hour + 6) % 24
    return f"{hour:02}:00-{(hour + 1) % 24:02}:00"


def test_outside_of_its_window_a_job_is_not_begun_and_that_is_told(deploy: Deploy):
    window = closed_window()
    at = f"30 {int(window[:2])} * * *"
    told = "  on-failure cat >told"
    deployment = deploy(AROUND + job(f"  command touch done\n  window {window}\n{told}", at=at))

    late = deployment.zmount("run", "night")

    assert late.returncode == 27
    assert f"which is not in {window}" in late.stderr
    assert not (deployment.directory / "done").exists()
    assert json.loads((deployment.directory / "told").read_text())["exit_status"] == 27
    assert [entry.result for entry in runs(deployment)] == ["refused"]
    assert deployment.zmount("run", "--force", "night").returncode == 0
    assert (deployment.directory / "done").exists()


def test_only_cron_waits_for_the_jitter(deploy: Deploy):
    deployment = deploy(AROUND + job("  command true\n  jitter 1h"))
    began = time.monotonic()

    assert deployment.zmount("run", "night").returncode == 0
    assert time.monotonic() - began < 60
    run = begun(deployment, "night", "--cron")
    with pytest.raises(subprocess.TimeoutExpired):  # once in 1,200 times it is 3 s
        run.wait(3)
    run.kill()
    run.communicate()


def test_as_cron_calls_it_a_run_prints_nothing_unless_it_fails(deploy: Deploy):
    deployment = deploy(
        AROUND
        + job("  command echo much")
        + job("  command echo oh; exit 1", "bad", at="0 4 * * *")
    )
    environment = {**os.environ, "ZMOUNT_CONF": str(deployment.conf)}
    environment["ZMOUNT"] = str(Path(sys.executable).with_name("zmount"))

    def script(name: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(SCRIPT), name], capture_output=True, text=True, env=environment, timeout=60
        )

    good, bad = script("night"), script("bad")

    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    assert bad.returncode == 1
    assert "| oh" in bad.stderr


def test_the_hook_gets_the_facts_twice(deploy: Deploy):
    hook = "  on-failure cat >stdin; env | grep ^ZMOUNT_ >env"
    deployment = deploy(AROUND + job(f"  command echo last words; exit 3\n{hook}"))

    assert deployment.zmount("run", "night").returncode == 3

    facts = json.loads((deployment.directory / "stdin").read_text())
    assert facts["lines"] == ["last words"]
    assert (facts["job"], facts["kind"], facts["exit_status"]) == ("night", "command", 3)
    told = (deployment.directory / "env").read_text().splitlines()
    assert {"ZMOUNT_JOB=night", "ZMOUNT_EXIT_STATUS=3", "ZMOUNT_RESULT=failed"} <= set(told)
    assert f"ZMOUNT_CONF={deployment.conf}" in told


def test_a_hook_that_fails_is_told_and_hides_nothing(deploy: Deploy):
    hook = "  on-failure echo no pager >&2; exit 9"
    deployment = deploy(AROUND + job(f"  command exit 3\n{hook}"))

    done = deployment.zmount("run", "night")

    assert done.returncode == 3
    assert "exit status 9: no pager" in done.stderr


class _Mailbox:
    """Takes mail, and refuses it for nobody@."""

    def __init__(self) -> None:
        self.got: list[EmailMessage] = []

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, to: str, _: Any) -> str:
        if to.startswith("nobody@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.got.append(message_from_bytes(envelope.content, policy=policy.default))  # type: ignore[arg-type]
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[tuple[_Mailbox, int]]:
    """A mail server, and its port."""
    box, port = _Mailbox(), free_port()
    controller = Controller(box, hostname="127.0.0.1", port=port)
    controller.start()
    yield box, port
    controller.stop()


def test_a_failure_is_mailed(deploy: Deploy, mailbox: tuple[_Mailbox, int]):
    box, port = mailbox
    top = f"mail-server 127.0.0.1:{port}\nmail-from zope@example.org\n"
    mail = "  mail one@example.org two@example.org"
    deployment = deploy(top + AROUND + job(f"  command echo grüße; exit 3\n{mail}"))

    assert deployment.zmount("run", "night").returncode == 3

    (message,) = box.got
    assert message["From"] == "zope@example.org"
    assert message["To"] == "one@example.org, two@example.org"
    assert "job night failed" in message["Subject"]
    assert "grüße" in message.get_content()


def test_mail_that_nobody_takes_is_told_and_hides_nothing(
    deploy: Deploy, mailbox: tuple[_Mailbox, int]
):
    top = f"mail-server 127.0.0.1:{mailbox[1]}\n"
    deployment = deploy(top + AROUND + job("  command exit 3\n  mail nobody@example.org"))

    done = deployment.zmount("run", "night")

    assert done.returncode == 3
    assert f"no mail was sent to nobody@example.org through 127.0.0.1:{mailbox[1]}: " in done.stderr
    assert "no such mailbox" in done.stderr


def test_without_a_mail_server_the_machines_sendmail_gets_it(
    deploy: Deploy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    program = tmp_path / "sendmail"
    program.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/arguments\ncat >{tmp_path}/mail\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    deployment = deploy(AROUND + job("  command exit 3\n  mail root"))

    done = deployment.zmount("run", "night")

    assert "no mail" not in done.stderr
    assert (tmp_path / "arguments").read_text() == "-i -t\n"
    message = message_from_bytes((tmp_path / "mail").read_bytes())
    assert message["To"] == "root"
    assert message["Date"] and message["Message-ID"]


def test_a_job_that_is_not_there_is_refused_with_a_guess(deploy: Deploy):
    deployment = deploy(AROUND + job("  command true"))

    done = deployment.zmount("run", "nigth")

    assert done.returncode == 3
    assert "did you mean night?" in done.stderr


def test_a_large_log_becomes_an_old_one(deploy: Deploy):
    deployment = deploy(AROUND + job("  command head -c 1100000 /dev/zero | tr '\\0' '\\n'"))

    for _ in range(2):
        assert deployment.zmount("run", "night").returncode == 0

    directory = deployment.directory / "log"
    assert (directory / "night.log.1").stat().st_size > 1_000_000
    assert log(deployment).startswith("=== ")
