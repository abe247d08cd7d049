"""What systemctl says, and a real systemd where this machine lets one run.

The texts are systemd 252's, recorded from units that zmount had generated.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from deployments import ZEO_AND_ZOPE, Deployment

from zmount.effects.process_manager import Kept
from zmount.effects.systemd import Systemd, read_properties
from zmount.errors import ProcessFailed

TEXT = """MainPID={pid}
Result={result}
NRestarts={restarts}
ExecMainCode={code}
ExecMainStatus={status}
LoadState={load}
ActiveState={active}
SubState={sub}
NeedDaemonReload=no
"""
DEAD = {
    "pid": 0,
    "result": "success",
    "restarts": 0,
    "code": 0,
    "status": 0,
    "load": "loaded",
    "active": "inactive",
    "sub": "dead",
}
SYSTEMD = Path("/lib/systemd/systemd")
# A user's systemd runs in a mount namespace of its own, where /run is empty but for
# what makes systemd believe that it was booted; root's systemctl is led to it.
SCRIPT = """
mount -t tmpfs tmpfs /run || exit 9
mkdir -p /run/systemd/system; mkdir -m 700 /run/user-manager
export XDG_RUNTIME_DIR=/run/user-manager XDG_CONFIG_HOME={directory}/config
setpriv --pdeathsig KILL {systemd} --user --log-target=null > /dev/null 2>&1 &
trap "kill -9 $!" EXIT
for try in 1 2 3 4 5 6 7 8 9; do [ -S /run/user-manager/systemd/private ] && break; sleep 0.3; done
export PATH={directory}/bin:$PATH
set -ex
systemctl link {directory}/etc/systemd/*.service
zmount() {{ {python} -m zmount -f {directory}/zmount.conf "$@"; }}
zmount start
kill -9 $(systemctl show zmount-pub.service --property=MainPID --value)
zmount status || true
for try in 1 2 3 4 5 6 7 8 9; do sleep 0.5; zmount status > /dev/null && break; done
zmount status
zmount stop
systemctl show zmount-pub.service --property=ActiveState,Result
! zmount status
"""


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ({}, Kept(is_kept=False)),
        (
            {"pid": 19187, "active": "active", "sub": "running"},
            Kept(is_kept=True, pid=19187),
        ),
        (
            {"pid": 19283, "active": "active", "sub": "running", "restarts": 3},
            Kept(is_kept=True, pid=19283, restarts=3),
        ),
        (
            {
                "result": "signal",
                "code": 2,
                "status": 9,
                "active": "activating",
                "sub": "auto-restart",
            },
            Kept(is_kept=True, detail="terminated by SIGKILL"),
        ),
        (
            {"result": "exit-code", "code": 1, "status": 1},
            Kept(is_kept=False, detail="exit status 1"),
        ),
        ({"result": "resources"}, Kept(is_kept=False, detail="resources")),
        ({"load": "not-found"}, Kept(is_kept=False, detail="systemd has no such unit")),
    ],
)
def test_what_systemctl_shows_is_understood(said: dict[str, object], kept: Kept) -> None:
    assert read_properties(TEXT.format(**{**DEAD, **said})) == kept


@pytest.mark.skipif(
    os.geteuid() != 0 or not SYSTEMD.exists() or shutil.which("unshare") is None,
    reason="only root can run a systemd of its own, where there is one",
)
def test_a_real_systemd_runs_and_revives_a_deployment(
    deploy: Callable[[str], Deployment],
) -> None:
    deployment = deploy("manager systemd\n" + ZEO_AND_ZOPE)
    programs = deployment.directory / "bin"
    programs.mkdir()
    for name in ("systemctl", "journalctl"):
        (programs / name).write_text(f'#!/bin/sh\nexec /usr/bin/{name} --user "$@"\n')
        (programs / name).chmod(0o755)
    script = deployment.directory / "script"
    script.write_text(
        SCRIPT.format(directory=deployment.directory, systemd=SYSTEMD, python=sys.executable)
    )

    done = subprocess.run(
        ["unshare", "--mount", "bash", str(script)], capture_output=True, text=True, timeout=120
    )

    if done.returncode == 9:
        pytest.skip("this machine lets nobody have mounts of his own")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "restarting" in done.stdout
    assert "restarts: 1; HTTP 200 OK" in done.stdout
    assert "ActiveState=inactive" in done.stdout
    assert "Result=success" in done.stdout
    assert (deployment.directory / "pub_client/var/Data.fs.index").exists()


def test_a_systemd_that_cannot_start_it_is_one_line_and_what_to_do(
    deploy: Callable[[str], Deployment],
) -> None:
    """Where systemd was not booted, as in a container; elsewhere it does not know the unit."""
    process = deploy("manager systemd\nunit-prefix zmount-test-unknown\n" + ZEO_AND_ZOPE).process(
        "zeo"
    )

    with pytest.raises(ProcessFailed) as raised:
        Systemd().start(process)

    assert str(raised.value).startswith("zeo: system")
    assert len(str(raised.value).splitlines()) == 1
    if not Path("/run/systemd/system").is_dir():
        assert raised.value.hint == "manager zdaemon, or supervisor"
    assert "Failed to" not in raised.value.hint
