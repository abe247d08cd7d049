"""Stopping real ZEO servers and Zopes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from deployments import ZEO_AND_ZOPE, ZEO_ONLY, Deployment, kill_manager, wait_until

from zmount.effects.process_table import is_alive, keeper
from zmount.errors import ProcessFailed
from zmount.operations.changes import Change
from zmount.operations.restart import restart
from zmount.operations.start import start
from zmount.operations.status import observe_processes
from zmount.operations.stop import stop

DEAF_ZOPE = """
<instance pub>
  venv deaf
  http-address {port}
  <runner>
    stop-timeout 1
    start-timeout 1
  </runner>
</instance>
"""
DEAF = """#!/bin/sh
trap '' INT
sleep 60 & wait; wait
"""


def ignore(_: object) -> None:
    pass


def started(deployment: Deployment) -> dict[str, int]:
    """Start everything; return the pids by name."""
    changes = start(deployment.topology, deployment.host, [], ignore)
    return {change.process.name: change.pid or 0 for change in changes}


def stopped(deployment: Deployment, *names: str, force: bool = False) -> list[tuple[str, str]]:
    return done(stop(deployment.topology, deployment.host, names, ignore, force=force))


def done(changes: tuple[Change, ...]) -> list[tuple[str, str]]:
    return [(change.process.name, change.done) for change in changes]


def test_instances_stop_before_their_zeo_servers_and_leave_nothing_behind(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZEO_AND_ZOPE)
    pids = started(deployment)
    pid_file = deployment.directory / "pub_client/var/Z4.pid"
    assert pid_file.exists()

    assert stopped(deployment) == [("pub", "stopped"), ("zeo", "stopped")]

    assert not any(is_alive(pid) for pid in pids.values())
    assert not pid_file.exists()
    for data_fs in ("pub_client/var/Data.fs", "var/content/Data.fs"):
        assert (deployment.directory / f"{data_fs}.index").exists()


def test_stopping_what_is_stopped_is_no_failure(deploy: Callable[[str], Deployment]) -> None:
    assert stopped(deploy(ZEO_ONLY)) == [("zeo", "was not running")]


def test_a_zeo_server_is_not_taken_from_running_instances_unless_forced(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZEO_AND_ZOPE)
    started(deployment)

    with pytest.raises(ProcessFailed, match="zeo is not stopped: pub would wait for it") as raised:
        stopped(deployment, "zeo")

    assert raised.value.hint == "zmount stop pub zeo; or --force"
    assert stopped(deployment, "zeo", force=True) == [("zeo", "stopped")]
    # and a Zope whose storages are away still ends cleanly
    assert stopped(deployment, "pub") == [("pub", "stopped")]


def test_what_does_not_end_in_time_is_killed_and_that_is_said(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(DEAF_ZOPE)
    program = Path(deployment.process("pub").program[0])
    program.parent.mkdir(parents=True)
    program.write_text(DEAF)
    program.chmod(0o755)
    start(deployment.topology, deployment.host, ["pub"], ignore)

    assert stopped(deployment, "pub") == [("pub", "killed")]


def test_a_server_whose_manager_was_killed_is_stopped_all_the_same(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZEO_ONLY)
    pids = started(deployment)
    kill_manager(deployment.process("zeo"))

    assert stopped(deployment) == [("zeo", "stopped")]

    wait_until(lambda: not is_alive(pids["zeo"]), "ZEO is gone")
    assert (deployment.directory / "var/content/Data.fs.index").exists()


def test_restart_takes_all_that_runs_and_nothing_else(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZEO_AND_ZOPE)
    start(deployment.topology, deployment.host, ["zeo"], ignore)

    changes = restart(deployment.topology, deployment.host, [], ignore)

    assert done(changes) == [("zeo", "stopped"), ("zeo", "started")]


def test_restart_starts_what_is_named_even_if_it_did_not_run(
    deploy: Callable[[str], Deployment],
) -> None:
    changes = restart((deployment := deploy(ZEO_ONLY)).topology, deployment.host, ["zeo"], ignore)

    assert done(changes) == [("zeo", "was not running"), ("zeo", "started")]


def test_a_zeo_server_restarts_under_its_instances(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_AND_ZOPE)
    started(deployment)

    changes = restart(deployment.topology, deployment.host, ["zeo"], ignore)

    assert done(changes) == [("zeo", "stopped"), ("zeo", "started")]


def test_what_a_former_supervisord_keeps_is_not_said_to_be_stopped(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy("manager supervisor\n" + ZEO_ONLY)
    pids = started(deployment)
    deployment.rewrite(ZEO_ONLY)

    (change,) = stop(deployment.topology, deployment.host, [], ignore)

    assert (change.done, is_alive(pids["zeo"])) == ("failed", True)
    assert "supervisord.conf) keeps it, and would start it again" in str(change.error)
    (seen,) = observe_processes(deployment.topology, deployment.host)
    assert (seen.state, seen.pid) == ("unmanaged", pids["zeo"])
    assert "which is not the manager that the topology says" in seen.detail


def test_what_a_former_zdaemon_keeps_ends_with_it(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    pids = started(deployment)
    by = keeper(pids["zeo"])
    deployment.rewrite("manager supervisor\n" + ZEO_ONLY)

    assert stopped(deployment) == [("zeo", "stopped")]

    assert by is not None and by.pid is not None
    wait_until(lambda: not is_alive(by.pid or 0), "zdaemon is gone")
    assert not is_alive(pids["zeo"])
