"""Threads that do not come back are found from outside, with their site; with a real Zope."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployments import Deployment
from offline_sites import OFFLINE, deployment_with_sites
from visitors import ask, spinning

VIRTUAL = "/VirtualHostBase/http/x.org:80/home/x.org/VirtualHostRoot/_vh_a"
COMMAND = "zmount offline x.org --instance pub --production --reason '/home/x.org/spin spins'"


@pytest.fixture(scope="module")
def started() -> Iterator[Deployment]:
    """A deployment whose public instance runs."""
    with deployment_with_sites() as made:
        yield made


@pytest.fixture
def zopes(started: Deployment) -> Iterator[Deployment]:
    """The same; whatever spins is ended after the test."""
    yield started
    restarted = started.zmount("restart", "pub")
    assert restarted.returncode == 0, restarted.stderr


def test_nothing_is_found_where_nothing_spins(started: Deployment) -> None:
    done = started.zmount("spin")

    assert done.returncode == 0, done.stderr
    assert "pub: pid" in done.stdout
    assert "answers (HTTP 200 OK), all well" in done.stdout
    assert "dev" not in done.stdout  # it does not run
    assert "dev: it is stopped" in started.zmount("spin", "dev").stdout
    assert started.zmount("spin", "zeo").returncode == 3


def test_one_thread_of_four_is_told_with_its_site_and_its_line(zopes: Deployment) -> None:
    with spinning(zopes, "pub", zopes.port, [f"{OFFLINE}/spin"]):
        done = zopes.zmount("spin", "pub", "--longer", "0.5")
        answers = ask(zopes.port, f"{OFFLINE}/page").status

    assert done.returncode == 1, done.stderr
    assert "answers (HTTP 200 OK), 1 of 4 threads does not come back" in done.stdout
    assert "GET /home/x.org/spin" in done.stdout
    assert "/home/x.org in pub: storage pub/x.org, production of x.org" in done.stdout
    assert "Script (Python):/home/x.org/spin:" in done.stdout
    assert done.stdout.endswith(f"    {COMMAND}\n")
    assert answers == 200  # nothing was ended


def test_all_threads_spinning_are_told_though_nobody_answers(zopes: Deployment) -> None:
    paths = [f"{OFFLINE}/spin", f"{VIRTUAL}/spin", f"/other{OFFLINE}/spin", f"{OFFLINE}/spin"]
    with spinning(zopes, "pub", zopes.port, paths):
        done = zopes.zmount("spin", "--longer", "0.5", "--json")

    assert done.returncode == 1, done.stderr
    (look,) = json.loads(done.stdout)
    assert not look["is_answering"]
    assert look["waiting"]  # what zmount itself asked waits as well
    threads = look["threads"]
    assert sorted(each["path"] for each in threads) == sorted(paths)
    assert {each["kind"] for each in threads} == {"spins"}
    assert {(each["site"], each["side"]) for each in threads} == {("x.org", "production")}
    assert {each["frames"][0]["file"] for each in threads} == {"Script (Python):/home/x.org/spin"}
    (command,) = look["remedies"]
    assert command.startswith("zmount offline x.org --instance pub --production --reason ")
    assert command.endswith(" --restart")


def test_a_path_that_a_visitor_made_up_commands_neither_terminal_nor_shell(
    zopes: Deployment,
) -> None:
    with spinning(zopes, "pub", zopes.port, [f"{OFFLINE}/spin/%1b[31m';touch%20x;'"]):
        done = zopes.zmount("spin", "pub", "--longer", "0.5")

    assert "\x1b" not in done.stdout
    assert """--reason '/home/x.org/spin/?[31m'"'"';touch x;'"'"' spins'""" in done.stdout


def test_a_zope_without_agent_gets_no_signal_that_would_end_it(zopes: Deployment) -> None:
    process = zopes.process("pub")
    zcml = Path(process.directory / "etc/site.zcml")
    text = zcml.read_text()
    zcml.write_text("\n".join(line for line in text.split("\n") if "zmount.agent" not in line))
    try:
        assert zopes.zmount("restart", "pub").returncode == 0
        pid = int(Path(process.directory / "var/Z4.pid").read_text())
        idle = zopes.zmount("spin", "pub")
    finally:
        zcml.write_text(text)

    assert idle.returncode == 0, idle.stdout
    assert "pub runs without zmount's agent" in idle.stdout
    os.kill(pid, 0)
