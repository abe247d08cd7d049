"""The commands start, stop, restart and status as a person or cron meets them."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from deployments import ZEO_AND_ZOPE, ZEO_ONLY, Deployment, wait_until

SITES = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<site example.org/>
<instance adm>
  kind admin
  http-address {port}
</instance>
"""
DEAF = """
venv deaf
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage content/>
"""


def test_a_day_of_a_zeo_server(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)

    start = deployment.zmount("start")
    status = deployment.zmount("status")
    restart = deployment.zmount("restart", "zeo")
    stop = deployment.zmount("stop")

    assert start.stdout == ""
    assert start.stderr.startswith(f"zeo answers at {deployment.directory}/zeo/var/zeo.sock after ")
    assert "zeo      running" in status.stdout
    assert "zeo stopped after " in restart.stderr
    assert "zeo stopped after " in stop.stderr
    assert [each.returncode for each in (start, status, restart, stop)] == [0, 0, 0, 0]


def test_status_of_what_is_stopped_exits_1(deploy: Callable[[str], Deployment]) -> None:
    assert deploy(ZEO_ONLY).zmount("status").returncode == 1


def test_status_as_json_has_numbers(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    deployment.zmount("start")

    said = json.loads(deployment.zmount("status", "--json").stdout)

    assert said["is_well"] is True
    (zeo,) = said["processes"]
    assert (zeo["name"], zeo["state"], zeo["autostart"]) == ("zeo", "running", True)
    assert zeo["memory_bytes"] > 10_000_000
    (content,) = said["storages"]
    assert (content["name"], content["clients"], content["blob_bytes"]) == ("content", 0, 0)


def test_a_failed_start_exits_8_says_why_and_is_whole_in_json(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZEO_AND_ZOPE)
    with socket.create_server(("127.0.0.1", deployment.port)):
        done = deployment.zmount("start", "--json")

    assert done.returncode == 8
    assert f"zmount: pub: the port of 127.0.0.1:{deployment.port} is in use by pid" in done.stderr
    zeo, pub = json.loads(done.stdout)
    assert (zeo["done"], pub["done"], zeo["error"]) == ("started", "failed", None)
    assert pub["error"].startswith("pub: the port of ")


def test_no_colours_where_there_is_no_terminal(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)

    said = deployment.zmount("start").stderr + deployment.zmount("status").stdout

    assert "\x1b" not in said


def test_an_admin_instance_mounts_what_the_command_line_says(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(SITES)
    assert deployment.zmount("apply").returncode == 0

    done = deployment.zmount("start", "adm", "--mount", "example.org", "stage/example.org")
    again = deployment.zmount("start", "adm", "--mount", "example.org")

    assert done.returncode == 0, done.stderr
    assert f"adm answers at 127.0.0.1:{deployment.port}" in done.stderr
    assert "make the mount point /home/example.org" in done.stderr
    assert "make the mount point /stage/example.org" in done.stderr
    assert again.returncode == 8
    assert "adm runs already, with other mounts" in again.stderr


def test_an_admin_instance_shows_a_sites_storage_as_its_root(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(SITES)
    assert deployment.zmount("apply").returncode == 0

    done = deployment.zmount("start", "adm", "--root", "pub/example.org")

    assert done.returncode == 0, done.stderr
    conf = Path(deployment.topology.instance("adm").replicas[0].zope_conf).read_text()
    assert "storage pub/example.org" in conf.partition("mount-point /\n")[2]
    assert deployment.zmount("stop").returncode == 0
    assert deployment.zmount("apply").returncode == 0  # takes it back
    assert deployment.zmount("diff-config").returncode == 0


def test_mounts_on_the_command_line_wait_until_the_rest_is_applied(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(SITES)
    assert deployment.zmount("apply").returncode == 0
    deployment.rewrite(SITES.replace("<zeo zeo>", "<zeo zeo>\ntransaction-timeout 77"))

    done = deployment.zmount("start", "adm", "--mount", "example.org")

    assert done.returncode == 5
    assert "zeo/etc/zeo.conf" in done.stderr
    assert "try: zmount apply" in done.stderr


def test_mounts_on_the_command_line_are_for_one_instance(
    deploy: Callable[[str], Deployment],
) -> None:
    done = deploy(SITES).zmount("start", "--mount", "example.org")

    assert done.returncode == 2
    assert "need the NAME of one instance" in done.stderr


def test_ctrl_c_exits_130_and_names_the_next_command(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(DEAF)
    python = deployment.directory / "deaf/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    runzeo = python.with_name("runzeo")
    runzeo.write_text("#!/bin/sh\nsleep 60\n")
    runzeo.chmod(0o755)
    started = subprocess.Popen(
        [sys.executable, "-m", "zmount", "-f", str(deployment.conf), "start"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until((deployment.directory / "zeo/var/zdsock").exists, "zdaemon runs")

    started.send_signal(signal.SIGINT)
    stdout, stderr = started.communicate(timeout=10)

    assert (started.returncode, stdout) == (130, "")
    assert stderr.strip() == "zmount: interrupted; zmount status shows what runs now"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(("status", "nothing"), 3), (("undo",), 5), (("start", "--host", "nowhere"), 3)],
)
def test_json_is_json_though_the_command_fails(
    arguments: tuple[str, ...], status: int, deploy: Callable[[str], Deployment]
) -> None:
    done = deploy(ZEO_ONLY).zmount("--json", *arguments)

    said = json.loads(done.stdout)
    assert (done.returncode, said["exit_status"]) == (status, status)
    assert said["error"] in done.stderr


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_result_that_cannot_be_written_is_one_line(
    options: tuple[str, ...], deploy: Callable[[str], Deployment]
) -> None:
    deployment = deploy(ZEO_ONLY)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "zmount", "-f", str(deployment.conf), "status", *options],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )

    assert done.returncode == 1
    assert done.stderr == "zmount: the result cannot be written: No space left on device\n"
