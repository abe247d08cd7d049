"""zdaemon keeping real ZEO servers, and programs that behave badly."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from deployments import ZEO_ONLY, Deployment, wait_until

from zmount.effects.process_table import is_alive
from zmount.effects.zdaemon import Zdaemon
from zmount.errors import ProcessFailed
from zmount.topology.processes import Process

# a Zope whose runwsgi is the test's own
STUB = """
venv venv
<instance stub>
  http-address {port}
  <runner>
    stop-timeout 1
  </runner>
</instance>
"""
DEAF = """#!/bin/sh
trap '' INT
echo deaf
sleep 60 & wait; wait
"""


# zdaemon's manager, slow at the moment where a process can escape it
SLOW_MANAGER = """
import os, time
import zdaemon.zdrun
fork = os.fork
def slow_fork():
    pid = fork()
    if pid:
        time.sleep(0.3)
    return pid
os.fork = slow_fork
zdaemon.zdrun.main()
"""


def stub(deployment: Deployment, script: str) -> Process:
    """Let the instance's runwsgi be SCRIPT."""
    process = deployment.process("stub")
    program = Path(process.program[0])
    program.parent.mkdir(parents=True)
    program.write_text(script)
    program.chmod(0o755)
    return process


def pid_of(process: Process) -> int:
    wait_until(lambda: Zdaemon().observe(process).pid, f"{process.name} runs")
    pid = Zdaemon().observe(process).pid
    assert pid is not None
    return pid


def test_a_process_that_was_never_started_is_not_kept(deploy: Callable[[str], Deployment]) -> None:
    kept = Zdaemon().observe(deploy(ZEO_ONLY).process("zeo"))

    assert (kept.is_kept, kept.pid) == (False, None)


def test_a_stopped_zeo_server_is_gone_with_its_manager_and_has_saved_its_index(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZEO_ONLY)
    process = deployment.process("zeo")
    Zdaemon().start(process)
    pid = pid_of(process)
    wait_until(Path(str(process.address.socket)).exists, "ZEO listens")

    is_clean = Zdaemon().stop(process)

    kept = Zdaemon().observe(process)
    assert (is_clean, is_alive(pid), kept.is_kept) == (True, False, False)
    assert kept.detail == "exit status 0"
    assert (deployment.directory / "var/content/Data.fs.index").exists()


def test_a_killed_zeo_server_is_started_again(deploy: Callable[[str], Deployment]) -> None:
    process = deploy(ZEO_ONLY).process("zeo")
    Zdaemon().start(process)
    pid = pid_of(process)
    os.kill(pid, signal.SIGKILL)

    wait_until(lambda: Zdaemon().observe(process).pid not in (pid, None), "it is started again")

    kept = Zdaemon().observe(process)
    assert (kept.is_kept, kept.restarts, kept.detail) == (True, 1, "terminated by SIGKILL")


def test_the_environment_of_zdaemon_conf_reaches_the_program(
    deploy: Callable[[str], Deployment],
) -> None:
    environment = "<environment>\nGREETING hello world\n</environment>\n</instance>"
    process = stub(deploy(STUB.replace("</instance>", environment)), "#!/bin/sh\nenv\nexit 2\n")
    Zdaemon().start(process)

    transcript = Path(process.transcript)
    wait_until(lambda: transcript.exists() and transcript.read_text(), "it prints")
    assert "\nGREETING=hello world\n" in transcript.read_text()


def test_a_program_that_does_not_heed_its_signal_is_killed(
    deploy: Callable[[str], Deployment],
) -> None:
    process = stub(deploy(STUB), DEAF)
    Zdaemon().start(process)
    pid = pid_of(process)
    wait_until(lambda: "deaf" in Path(process.transcript).read_text(), "it hears no signal")

    is_clean = Zdaemon().stop(process)

    assert (is_clean, is_alive(pid), Zdaemon().observe(process).is_kept) == (False, False, False)


def test_a_program_that_dies_of_its_signal_does_not_come_back(
    deploy: Callable[[str], Deployment],
) -> None:
    process = stub(deploy(STUB), "#!/bin/sh\nexec sleep 60\n")
    Zdaemon().start(process)
    pid_of(process)

    assert Zdaemon().stop(process)
    assert not Zdaemon().observe(process).is_kept


def test_a_program_that_dies_again_and_again_can_be_stopped(
    deploy: Callable[[str], Deployment],
) -> None:
    process = stub(deploy(STUB), "#!/bin/sh\nsleep 0.2\nexit 7\n")
    Zdaemon().start(process)
    wait_until(lambda: Zdaemon().observe(process).restarts, "it died")
    kept = Zdaemon().observe(process)

    assert (kept.is_kept, kept.detail) == (True, "exit status 7")
    assert Zdaemon().stop(process)
    assert not Zdaemon().observe(process).is_kept


def test_a_program_that_died_unnoticed_by_zdaemon_is_not_taken_for_running(
    deploy: Callable[[str], Deployment],
) -> None:
    manager = "zdrun {directory}/manager.py\n  </runner>"
    process = stub(deploy(STUB.replace("</runner>", manager)), "#!/bin/sh\nexit 7\n")
    (Path(process.directory).parent / "manager.py").write_text(SLOW_MANAGER)
    Zdaemon().start(process)
    wait_until(lambda: "spawned" in Path(process.zdaemon_log).read_text(), "it was started")

    assert Zdaemon().observe(process).pid is None
    assert Zdaemon().stop(process)
    assert not Zdaemon().observe(process).is_kept


def test_a_program_that_is_not_there_says_why_nothing_starts(
    deploy: Callable[[str], Deployment],
) -> None:
    process = deploy(STUB).process("stub")

    with pytest.raises(ProcessFailed, match="does not start: Error: can't stat program"):
        Zdaemon().start(process)


def test_a_zdaemon_conf_that_is_broken_is_named(deploy: Callable[[str], Deployment]) -> None:
    process = deploy(ZEO_ONLY).process("zeo")
    Path(process.zdaemon_conf).write_text("<runner>\n")

    with pytest.raises(ProcessFailed, match=r"etc/zdaemon.conf cannot be read"):
        Zdaemon().start(process)


def test_a_manager_that_says_nothing_is_an_error_and_no_stopped_process(
    deploy: Callable[[str], Deployment], monkeypatch: pytest.MonkeyPatch
) -> None:
    process = deploy(ZEO_ONLY).process("zeo")
    monkeypatch.setattr("zmount.effects.zdaemon.ANSWER_TIMEOUT_S", 0.2)
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(process.zdaemon_socket))
        mute.listen()

        with pytest.raises(ProcessFailed, match="cannot be asked"):
            Zdaemon().observe(process)


def test_what_lies_where_the_manager_listens_is_named_and_not_waited_for(
    deploy: Callable[[str], Deployment], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zmount.effects.zdaemon._STARTS_S", 2)
    process = deploy(ZEO_ONLY).process("zeo")
    Path(process.zdaemon_socket).mkdir()

    with pytest.raises(ProcessFailed, match=r"cannot listen at .*/zdsock") as raised:
        Zdaemon().start(process)

    assert raised.value.hint == f"remove {process.zdaemon_socket}"
    assert Zdaemon().observe(process).pid is None
