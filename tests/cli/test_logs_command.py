"""zmount logs, as it is called; the logs are files that a deployment would have."""

from __future__ import annotations

import datetime as dt
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from deployments import ZEO_AND_ZOPE, Deployment, wait_until

Deploy = Callable[[str], Deployment]
ZEO, PUB, OUT = "zeo/log/zeo.log", "pub_client/log/event.log", "pub_client/log/transcript.log"
MANAGER = "pub_client/log/zdaemon.log"


def zeo_line(ago_s: float, text: str) -> str:
    at = dt.datetime.fromtimestamp(time.time() - ago_s)
    return f"------\n{at:%Y-%m-%dT%H:%M:%S} {text}\n"


def zope_line(ago_s: float, level: str, text: str) -> str:
    at = dt.datetime.fromtimestamp(time.time() - ago_s)
    return f"{at:%Y-%m-%d %H:%M:%S} {level} [a:1][b] {text}\n"


@pytest.fixture
def logged(deploy: Deploy) -> Deployment:
    """A deployment that has logs, and no process."""
    deployment = deploy(ZEO_AND_ZOPE)
    here = deployment.directory
    for name in (ZEO, PUB):
        (here / name).parent.mkdir(parents=True, exist_ok=True)
    traceback = 'Traceback (most recent call last):\n  File "a.py"\nValueError: bad\n'
    (here / ZEO).write_text(zeo_line(4000, "INFO a one") + zeo_line(20, "INFO a three"))
    (here / PUB).write_text(
        zope_line(30, "INFO", "two \x1b[31m") + zope_line(10, "ERROR", f"four\n{traceback}")
    )
    return deployment


def test_all_logs_are_one_stream_in_the_order_of_time(logged: Deployment) -> None:
    done = logged.zmount("logs")

    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert [line.split(" | ")[0].rstrip() for line in lines] == ["zeo", "pub", "zeo"] + 4 * ["pub"]
    assert [line.index("|") for line in lines] == [len("pub zdaemon ")] * 7
    assert lines[0].endswith("INFO a one")
    assert lines[1].endswith("two ?[31m")  # it does not colour the terminal
    assert lines[-1].endswith("| ValueError: bad")


def test_output_without_any_time_does_not_drive_out_what_has_one(logged: Deployment) -> None:
    (logged.directory / OUT).write_text("".join(f"Starting server {n}.\n" for n in range(100)))

    lines = logged.zmount("logs", "-n", "20").stdout.splitlines()

    output = [line for line in lines if line.startswith("pub output")]
    assert [line.partition("| ")[2] for line in output] == [
        f"Starting server {n}." for n in (98, 99)
    ]
    assert len(lines) == 7 + 2  # and all of the others


def test_of_one_second_the_manager_comes_before_what_it_started(logged: Deployment) -> None:
    now = dt.datetime.now().replace(microsecond=0)
    (logged.directory / PUB).write_text(f"{now:%Y-%m-%d %H:%M:%S} INFO [a:1][b] ready\n")
    (logged.directory / MANAGER).write_text(f"{now:%Y-%m-%dT%H:%M:%S} INFO root spawned\n")

    lines = logged.zmount("logs", "-n", "2").stdout.splitlines()

    assert [line.rpartition(" ")[2] for line in lines] == ["spawned", "ready"]


def test_moments_names_errors_and_numbers_narrow_it(logged: Deployment) -> None:
    said = {
        ("--since", "1h"): 6,
        ("zeo",): 2,
        ("zeo", "--since", "1h"): 1,
        ("-n", "2"): 5,
        ("--since", "2h", "-n", "1"): 4,
        ("--errors",): 4,
        ("--errors", "--since", "5s"): 0,
    }
    found = {each: len(logged.zmount("logs", *each).stdout.splitlines()) for each in said}

    assert found == said
    assert logged.zmount("logs", "--since", "soon").returncode == 2
    assert logged.zmount("logs", "nobody").returncode == 3


def test_json_is_one_object_a_line(logged: Deployment) -> None:
    done = logged.zmount("logs", "--json", "--errors")

    (entry,) = map(json.loads, done.stdout.splitlines())
    assert (entry["name"], entry["level"], entry["is_error"]) == ("pub", "ERROR", True)
    assert entry["text"].endswith("ValueError: bad")


def test_one_that_cannot_be_read_keeps_no_other_from_being_told(logged: Deployment) -> None:
    (logged.directory / OUT).mkdir()

    done = logged.zmount("logs")

    assert done.returncode == 28
    assert len(done.stdout.splitlines()) == 7
    assert done.stderr.count(f"{logged.directory / OUT} cannot be read: Is a directory") == 1


def test_scheduled_jobs_are_told_run_by_run_with_the_failed_ones_as_errors(deploy: Deploy) -> None:
    jobs = "".join(
        f"<schedule {name}>\njob command\nat 0 3 * * *\ncommand {command}\n</schedule>\n"
        for name, command in (("night", "echo one; exit 4"), ("day", "echo two"))
    )
    deployment = deploy(ZEO_AND_ZOPE + jobs)
    deployment.zmount("run", "night")
    deployment.zmount("run", "day")

    lines = [each.split("| ") for each in deployment.zmount("logs").stdout.splitlines()]
    errors = deployment.zmount("logs", "--errors").stdout.splitlines()
    unknown = deployment.zmount("logs", "nigth")

    assert [name.rstrip() for name, _ in lines] == 3 * ["night job"] + 3 * ["day job"]
    assert [text for _, text in lines if "===" not in text] == ["one", "two"]
    assert len(errors) == 1 and " ERROR night: " in errors[0] and "exit 4" in errors[0]
    assert len(deployment.zmount("logs", "day", "--since", "1h").stdout.splitlines()) == 3
    assert unknown.returncode == 3 and "did you mean night?" in unknown.stderr


def following(deployment: Deployment, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "zmount",
            "-f",
            str(deployment.conf),
            "logs",
            "--follow",
            *arguments,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_following_tells_what_comes_and_ends_quietly(logged: Deployment) -> None:
    log = logged.directory / PUB
    with following(logged, "-n", "1") as process:
        assert process.stdout is not None
        for _ in range(4):
            process.stdout.readline()
        log.rename(f"{log}.1")
        log.write_text(zope_line(0, "INFO", "five"))
        assert process.stdout.readline().endswith("five\n")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)

    assert (process.returncode, out, err) == (130, "", "")


def test_following_ends_when_nobody_reads_though_nothing_comes(logged: Deployment) -> None:
    with following(logged, "-n", "1") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        wait_until(lambda: process.poll() is not None, "it has ended")
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_following_two_hundred_logs_costs_little(deploy: Deploy) -> None:
    text = "".join(
        f"<zeo z{at}>\naddress var/z{at}.sock\n</zeo>\n<storage s{at}>\nserver z{at}\n</storage>\n"
        for at in range(67)
    )
    deployment = deploy(text)
    for at in range(67):
        log = Path(deployment.process(f"z{at}").directory / "log" / "zeo.log")
        log.write_text(zeo_line(5, "INFO a b"))
    with following(deployment, "-n", "1") as process:
        assert process.stdout is not None
        process.stdout.readline()
        before = _computed_s(process.pid)
        time.sleep(3)
        cost = (_computed_s(process.pid) - before) / 3
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)

    assert cost < 0.1  # of one processor


def _computed_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
