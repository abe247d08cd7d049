"""Starting real ZEO servers and Zopes, and what is said of those that do not start."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from deployments import ZEO_AND_ZOPE, ZEO_ONLY, ZOPE_ALONE, Deployment, kill_manager

from zmount.effects.zdaemon import Zdaemon
from zmount.errors import EnvironmentMissing, Locked, UnknownName, ZMountError
from zmount.operations.changes import Change, refuse_failures
from zmount.operations.start import start
from zmount.topology.processes import Process

TWO_REPLICAS = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage roots/>
<instance pub>
  replicas 2
  http-address var/http.sock
  root roots
</instance>
"""
TWO_SERVERS = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<zeo spare>
  address var/spare.sock
</zeo>
<storage roots>
  server zeo
</storage>
<storage other>
  server spare
</storage>
<instance pub>
  http-address {port}
  root roots
</instance>
"""
HOLD_LOCK = """
import pathlib, sys
from zmount.effects.lock import locked
with locked(pathlib.PurePosixPath(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""
LOCK_DATA_FS = """
import sys
from ZODB.FileStorage import FileStorage
storage = FileStorage(sys.argv[1])
print("locked", flush=True)
sys.stdin.read()
"""


def started(deployment: Deployment, *names: str) -> list[Change]:
    return list(start(deployment.topology, deployment.host, names, lambda _: None))


def done(changes: Iterable[Change]) -> list[tuple[str, str]]:
    return [(change.process.name, change.done) for change in changes]


def error_of(change: Change) -> ZMountError:
    assert change.error is not None
    return change.error


def _program(deployment: Deployment, name: str, text: str) -> Path:
    """Put a script of TEXT in the place of the program of process NAME."""
    program = Path(deployment.process(name).program[0])
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(text)
    program.chmod(0o755)
    return program


def test_zeo_servers_answer_before_the_instances_that_need_them_start(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZEO_AND_ZOPE)
    seen: list[Process | Change] = []

    changes = start(deployment.topology, deployment.host, [], seen.append)

    assert done(changes) == [("zeo", "started"), ("pub", "started")]
    assert [(type(event).__name__, str(getattr(event, "name", ""))) for event in seen] == [
        ("Process", "zeo"),
        ("Change", ""),
        ("Process", "pub"),
        ("Change", ""),
    ]
    assert changes[1].detail == "HTTP 200 OK"
    assert "make the mount point /content" in " ".join(changes[1].notes)


def test_a_name_brings_the_zeo_server_that_it_needs(deploy: Callable[[str], Deployment]) -> None:
    changes = started(deploy(ZEO_AND_ZOPE), "pub")

    assert done(changes) == [("zeo", "started"), ("pub", "started")]


def test_what_runs_already_is_left_alone(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    (first,) = started(deployment)

    (second,) = started(deployment)

    assert (second.done, second.pid) == ("was running", first.pid)


def test_what_does_not_start_by_itself_is_started_when_it_is_named(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZEO_ONLY.replace("<zeo zeo>", "<zeo zeo>\nautostart off"))

    assert done(started(deployment)) == []
    assert done(started(deployment, "zeo")) == [("zeo", "started")]


def test_all_replicas_of_an_instance_are_started_by_its_name(
    deploy: Callable[[str], Deployment],
) -> None:
    changes = started(deploy(TWO_REPLICAS), "pub")

    assert done(changes) == [("zeo", "started"), ("pub-1", "started"), ("pub-2", "started")]


def test_an_unknown_name_is_refused_with_the_nearest_one(
    deploy: Callable[[str], Deployment],
) -> None:
    with pytest.raises(UnknownName, match="no ZEO server or instance 'pup'") as raised:
        started(deploy(ZEO_AND_ZOPE), "pup")

    assert raised.value.hint == "did you mean pub?"


def test_a_port_in_use_is_said_with_who_uses_it(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_AND_ZOPE)
    with socket.create_server(("127.0.0.1", deployment.port)):
        changes = started(deployment)

    assert done(changes) == [("zeo", "started"), ("pub", "failed")]
    assert f"the port of 127.0.0.1:{deployment.port} is in use by pid " in str(changes[1].error)
    assert Path(sys.executable).name in str(changes[1].error)


def test_a_locked_data_fs_is_said_with_who_locks_it(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZOPE_ALONE)
    data_fs = deployment.directory / "pub_client/var/Data.fs"
    with subprocess.Popen(
        [sys.executable, "-c", LOCK_DATA_FS, str(data_fs)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        (change,) = started(deployment)
        holder.communicate()

    assert f"{data_fs} is locked by pid {holder.pid} (" in str(change.error)


def test_a_missing_program_is_named_and_nothing_is_tried(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(f"venv nowhere\n{ZEO_ONLY}")

    (change,) = started(deployment)

    assert isinstance(change.error, EnvironmentMissing)
    assert "there is no program" in str(change.error)
    assert not (deployment.directory / "zeo/log/zdaemon.log").exists()


def test_a_program_whose_python_is_gone_is_named_and_nothing_is_tried(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(f"venv venv\n{ZEO_ONLY}")
    program = _program(deployment, "zeo", "#!/usr/lib/python2.3/bin/python\n")

    (change,) = started(deployment)

    assert str(change.error) == (
        f"zeo: {program} needs /usr/lib/python2.3/bin/python, which cannot be run"
    )
    assert not (deployment.directory / "zeo/log/zdaemon.log").exists()


def test_a_missing_file_says_to_apply(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    (deployment.directory / "zeo/etc/zeo.conf").unlink()

    (change,) = started(deployment)

    assert "etc/zeo.conf is not there" in str(change.error)
    assert error_of(change).hint == "zmount apply"


def test_files_that_lag_behind_the_topology_are_a_warning(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZEO_ONLY)
    deployment.rewrite(ZEO_ONLY.replace("<zeo zeo>", "<zeo zeo>\ntransaction-timeout 77"))

    (change,) = started(deployment)

    assert change.done == "started"
    assert [warning.split()[0] for warning in change.warnings] == [
        f"{deployment.directory}/zeo/etc/zeo.conf"
    ]


def test_a_configuration_error_is_its_last_line_and_no_traceback(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZOPE_ALONE)
    conf = deployment.directory / "pub_client/etc/zope.conf"
    conf.write_text(conf.read_text() + "no-such-key 3\n")

    (change,) = started(deployment)

    message = str(change.error)
    assert "(exit status 1): ZConfig.ConfigurationError: 'no-such-key' is not a known" in message
    assert "Traceback" not in message
    assert "transcript.log" in error_of(change).hint


def test_a_program_that_dies_without_a_reason_shows_its_last_words(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(f"venv venv\n{ZOPE_ALONE}")
    _program(deployment, "pub", "#!/bin/sh\necho the moon is full\nsleep 0.2\nexit 9\n")

    (change,) = started(deployment)

    assert "(exit status 9)\n  | the moon is full" in str(change.error)
    assert not Zdaemon().observe(deployment.process("pub")).is_kept


def test_one_that_dies_with_files_that_lag_behind_names_both(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(f"venv venv\n{ZOPE_ALONE}")
    text = "class Gone(Exception): pass\nimport time\ntime.sleep(0.2)\nraise Gone('to the beach')\n"
    _program(deployment, "pub", f"#!{sys.executable}\n{text}")
    deployment.rewrite(
        f"venv venv\n{ZOPE_ALONE}".replace("<instance pub>", "<instance pub>\nthreads 9")
    )

    (change,) = started(deployment)

    assert "(exit status 1): Gone: to the beach" in str(change.error)
    assert [warning.split()[0] for warning in change.warnings] == [
        f"{deployment.directory}/pub_client/etc/zope.ini"
    ]


def test_a_failure_stops_only_those_that_need_it(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(TWO_SERVERS)
    (deployment.directory / "zeo/etc/zeo.conf").write_text("<zeo>\n")

    changes = started(deployment)

    assert done(changes) == [("zeo", "failed"), ("spare", "started"), ("pub", "failed")]
    assert "(exit status 2): Error: unclosed sections not allowed\n  | (line 1 in file://" in str(
        changes[0].error
    )
    assert "For help" not in str(changes[0].error)
    assert str(changes[2].error) == "pub was not started: it needs zeo"
    with pytest.raises(ZMountError, match="these failed: zeo, pub"):
        refuse_failures(changes)


def test_a_zeo_server_elsewhere_that_does_not_answer_is_named_at_once(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(
        "<host here>\naddress 127.0.0.1\n</host>\n<host there>\naddress 127.0.0.2\n</host>\n"
        + ZEO_AND_ZOPE.replace("address var/zeo.sock", "host there\naddress 127.0.0.2:{port2}")
    )
    began = time.monotonic()

    (change,) = started(deployment)

    assert time.monotonic() - began < 5
    assert (
        f"it needs the ZEO server zeo on host there, which does not answer at "
        f"127.0.0.2:{deployment.port2}: nothing listens there" in str(change.error)
    )


def test_a_zeo_server_that_has_not_read_of_a_new_storage_is_named_at_once(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZEO_AND_ZOPE)
    started(deployment, "zeo")
    more = ZEO_AND_ZOPE.replace(
        "</instance>",
        "  <mount more>\n    mount-point /more\n  </mount>\n</instance>\n<storage more/>",
    )
    deployment.rewrite(more)
    assert done(started(deployment, "pub"))[-1] == ("pub", "started")  # not applied yet
    assert deployment.zmount("stop", "pub").returncode == 0
    deployment.write_files()

    began = time.monotonic()
    refused = deployment.zmount("start", "pub")

    assert refused.returncode == 8
    assert "mounts more, which the running ZEO server zeo does not serve" in refused.stderr
    assert "zmount restart zeo" in refused.stderr
    assert time.monotonic() - began < 15  # Zope itself waits 30 s


def test_a_process_that_does_not_answer_in_time_is_left_to_itself(
    deploy: Callable[[str], Deployment],
) -> None:
    runner = "<runner>\nstart-timeout 1\n</runner>\n</instance>"
    deployment = deploy(f"venv venv\n{ZOPE_ALONE.replace('</instance>', runner)}")
    _program(deployment, "pub", "#!/bin/sh\nexec sleep 60\n")

    (change,) = started(deployment)

    assert "but does not answer at" in str(change.error)
    assert Zdaemon().observe(deployment.process("pub")).pid is not None


def test_two_starts_at_once_are_one_start(deploy: Callable[[str], Deployment]) -> None:
    deployment = deploy(ZEO_ONLY)
    lock = [sys.executable, "-c", HOLD_LOCK, str(deployment.directory)]
    with subprocess.Popen(lock, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(Locked, match=f"pid {other.pid}"):
            started(deployment)
        other.communicate()

    assert done(started(deployment)) == [("zeo", "started")]


def test_a_zeo_server_whose_manager_was_killed_is_not_started_twice(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy(ZEO_ONLY)
    (first,) = started(deployment)
    kill_manager(deployment.process("zeo"))

    (second,) = started(deployment)

    assert str(second.error) == (
        f"zeo runs as pid {first.pid}, but its manager is gone: nothing restarts it"
    )
