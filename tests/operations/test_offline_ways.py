"""A site goes off-line whatever its instances are doing: up, busy or down; with real Zopes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from deployments import Deployment, commands
from offline_sites import (
    OFFLINE,
    PAGE,
    all_on_line,
    deployment_with_sites,
    remembered,
    state_of,
    take_offline,
)
from visitors import ask, spinning


@pytest.fixture(scope="module")
def started() -> Iterator[Deployment]:
    """A deployment whose public instance runs; the other is down."""
    with deployment_with_sites() as made:
        yield made


@pytest.fixture
def zopes(started: Deployment) -> Iterator[Deployment]:
    """The deployment with everything on-line, and so it is left."""
    with all_on_line(started) as made:
        yield made


def test_an_instance_that_is_down_has_it_done_without_the_sites_server(zopes: Deployment) -> None:
    zopes.zmount("stop")
    conf = zopes.directory / "zeo/etc/zeo.conf"
    text = conf.read_text()
    conf.write_text("this is none")

    try:
        done = zopes.zmount("offline", "x.org")
        back = zopes.zmount("online", "x.org")
    finally:
        conf.write_text(text)

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is off-line") == 3  # production in both, staging in dev
    assert back.returncode == 10  # in both instances for the same reason
    assert "the ZEO server zeo does not start" in back.stderr
    assert {each["path"] for each in remembered(zopes)} == {"/home/x.org", "/pub/x.org"}
    zopes.zmount("start", "zeo", "pub")
    assert ask(zopes.port, f"{OFFLINE}/page").status == 503


def test_one_whose_threads_are_all_busy_is_restarted_where_that_is_said(
    zopes: Deployment,
) -> None:
    with spinning(zopes, "pub", zopes.port, [f"{OFFLINE}/spin"] * 4):
        refused = zopes.zmount("offline", "x.org")
        before = remembered(zopes)
        done = zopes.zmount("offline", "x.org", "--instance", "pub", "--restart")

    assert refused.returncode == 22
    assert "its root can only be changed while it is stopped" in refused.stderr
    assert "--restart" in refused.stderr
    assert {each["instance"] for each in before} == {"dev"}  # one that fails stops no other
    assert done.returncode == 0, done.stderr
    assert ask(zopes.port, f"{OFFLINE}/spin").status == 503


def test_threads_that_go_on_are_told_and_ended_where_that_is_said(zopes: Deployment) -> None:
    with spinning(zopes, "pub", zopes.port, [f"{OFFLINE}/spin"]):
        told = take_offline(zopes)
        at_once = ask(zopes.port, f"{OFFLINE}/page").status
        ended = take_offline(zopes, "--restart")

    assert "pub: 1 of its threads still works on it; zmount spin pub" in told
    assert at_once == 503
    assert "pub was restarted" in ended


def test_a_dry_run_changes_nothing(zopes: Deployment) -> None:
    said = take_offline(zopes, "--dry-run")

    assert "pub: /home/x.org (pub/x.org) is to be taken off-line by its agent" in said
    assert state_of(zopes) == "ok"
    assert remembered(zopes) == []


def test_one_side_and_one_instance_are_enough(zopes: Deployment) -> None:
    done = zopes.zmount("offline", "x.org", "--staging")

    assert done.returncode == 0, done.stderr
    assert [each["path"] for each in remembered(zopes)] == ["/home/x.org"]
    assert state_of(zopes, name="dev") == "off-line"
    assert state_of(zopes, "/pub/x.org", "dev") == "ok"
    assert ask(zopes.port, f"{OFFLINE}/page").text == PAGE


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["../x.org"], 3, "there is no site '../x.org'"),
        (["x.og"], 3, "x.org"),
        (["x.org", "--instance", "nobody"], 3, "nobody"),
        (["x.org", "--instance", "pub", "--staging"], 3, "is not mounted by pub"),
    ],
)
def test_a_name_that_is_none_is_said_and_nothing_changed(
    zopes: Deployment, arguments: list[str], status: int, said: str
) -> None:
    done = zopes.zmount("offline", *arguments)

    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert remembered(zopes) == []


def test_a_root_that_is_read_only_is_said_and_nothing_changed(zopes: Deployment) -> None:
    before = zopes.conf.read_text()
    size = Path(zopes.directory / "pub_client/var/Data.fs").stat().st_size
    read_only = "<storage root/pub>\n  path pub_client/var/Data.fs\n  read-only on\n</storage>\n"
    zopes.conf.write_text(before + read_only)
    try:
        done = zopes.zmount("offline", "x.org", "--instance", "pub")
    finally:
        zopes.conf.write_text(before)

    assert done.returncode == 22
    assert "pub: /home/x.org lies in root/pub, which is read-only" in done.stderr
    assert Path(zopes.directory / "pub_client/var/Data.fs").stat().st_size == size
    assert remembered(zopes) == []
    assert ask(zopes.port, f"{OFFLINE}/page").text == PAGE


def test_wrong_credentials_change_nothing(
    zopes: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZMOUNT_ADMINISTRATOR", "admin:wrong")

    done = zopes.zmount("offline", "x.org", "--instance", "pub")

    assert done.returncode == 20, done.stderr
    assert state_of(zopes) == "ok"
    assert remembered(zopes) == []
    monkeypatch.delenv("ZMOUNT_ADMINISTRATOR")


def test_a_server_that_hangs_keeps_a_site_neither_on_line_nor_from_going_off(
    zopes: Deployment,
) -> None:
    (server,) = [
        pid
        for pid, command in commands()
        if set(zopes.process("zeo").program) <= set(command) and "-d" not in command
    ]
    os.kill(server, signal.SIGSTOP)
    try:
        watch = time.monotonic()
        took_s = take_offline(zopes) and time.monotonic() - watch
        status = ask(zopes.port, f"{OFFLINE}/page").status
        early = zopes.zmount("online", "x.org", "--instance", "pub")
    finally:
        os.kill(server, signal.SIGCONT)

    assert status == 503
    assert took_s < 30  # without a word with the server
    assert early.returncode == 22
    assert "the ZEO server zeo does not answer" in early.stderr
    assert state_of(zopes) == "off-line"
