"""A real supervisord keeping a real ZEO server and a real Zope."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from deployments import ZEO_AND_ZOPE, ZEO_ONLY, Deployment, wait_until

from zmount.effects.process_table import is_alive
from zmount.effects.supervisor import Supervisor
from zmount.errors import ProcessFailed

SUPERVISOR = "manager supervisor\n"


def test_without_supervisord_nothing_is_kept(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(SUPERVISOR + ZEO_ONLY)

    assert not Supervisor(deployment.host).observe(deployment.process("zeo")).is_kept


def test_supervisord_starts_only_what_it_is_asked_to(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(SUPERVISOR + ZEO_AND_ZOPE)
    supervisor = Supervisor(deployment.host)

    supervisor.start(deployment.process("zeo"))

    assert supervisor.observe(deployment.process("zeo")).pid is not None
    assert not supervisor.observe(deployment.process("pub")).is_kept


def test_a_stopped_zeo_server_is_gone_and_has_saved_its_index(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(SUPERVISOR + ZEO_ONLY)
    supervisor, process = Supervisor(deployment.host), deployment.process("zeo")
    supervisor.start(process)
    pid = supervisor.observe(process).pid
    wait_until(Path(str(process.address.socket)).exists, "ZEO listens")

    is_clean = supervisor.stop(process)

    kept = supervisor.observe(process)
    assert pid is not None
    assert (is_clean, is_alive(pid), kept.is_kept) == (True, False, False)
    assert kept.detail == "exit status 0"
    assert (deployment.directory / "var/content/Data.fs.index").exists()


def test_a_killed_zeo_server_is_started_again(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(SUPERVISOR + ZEO_ONLY)
    supervisor, process = Supervisor(deployment.host), deployment.process("zeo")
    supervisor.start(process)
    pid = supervisor.observe(process).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    wait_until(lambda: supervisor.observe(process).pid not in (pid, None), "it is started again")


def test_a_changed_program_is_started_as_it_is_now(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(SUPERVISOR + ZEO_ONLY)
    supervisor, process = Supervisor(deployment.host), deployment.process("zeo")
    supervisor.start(process)
    supervisor.stop(process)
    environment = "<environment>\nNEWS good\n</environment>\n</zeo>"
    deployment.rewrite(SUPERVISOR + ZEO_ONLY.replace("</zeo>", environment))
    deployment.write_files()

    supervisor.start(deployment.process("zeo"))

    pid = supervisor.observe(process).pid
    environ = Path(f"/proc/{pid}/environ")
    wait_until(lambda: b"\0NEWS=good\0" in b"\0" + environ.read_bytes(), "it has the news")


def test_a_new_process_is_known_to_a_supervisord_that_runs(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(SUPERVISOR + ZEO_ONLY)
    supervisor = Supervisor(deployment.host)
    supervisor.start(deployment.process("zeo"))
    second = "<zeo second>\naddress var/second.sock\n</zeo>\n<storage other>\nserver second\n"
    first = ZEO_ONLY.replace("<storage content/>", "<storage content>\nserver zeo\n</storage>")
    deployment.rewrite(f"{SUPERVISOR}{first}{second}</storage>")
    deployment.write_files()

    supervisor.start(deployment.process("second"))

    assert supervisor.observe(deployment.process("second")).pid is not None


def test_a_supervisord_conf_that_is_broken_is_named(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(SUPERVISOR + ZEO_ONLY)
    (deployment.directory / "etc/supervisord.conf").write_text("[supervisord]\nnodaemon = maybe\n")

    with pytest.raises(ProcessFailed, match="not a valid boolean value: 'maybe'") as raised:
        Supervisor(deployment.host).start(deployment.process("zeo"))

    assert "etc/supervisord.conf" in raised.value.hint


def test_a_supervisord_without_its_configuration_says_what_writes_it(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(SUPERVISOR + ZEO_ONLY)
    (deployment.directory / "etc/supervisord.conf").unlink()

    with pytest.raises(ProcessFailed, match=r"supervisord\.conf is not there") as raised:
        Supervisor(deployment.host).start(deployment.process("zeo"))

    assert raised.value.hint == "zmount apply"
