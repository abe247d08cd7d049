"""Programs that zmount runs itself."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys

import pytest
from deployments import wait_until

from zmount.effects.child_process import as_user, dying_with_us
from zmount.effects.process_table import is_alive
from zmount.errors import EnvironmentMissing

ROOT = 0


def test_a_child_of_root_runs_as_the_user_said_and_any_other_as_its_parent() -> None:
    nobody = pwd.getpwnam("nobody")

    done = subprocess.run(
        ["/bin/sh", "-c", "id -u; id -g; id -G"],
        capture_output=True,
        text=True,
        check=True,
        **as_user("nobody"),
    )

    is_root = os.geteuid() == ROOT
    uid = nobody.pw_uid if is_root else os.geteuid()
    gid = nobody.pw_gid if is_root else os.getegid()
    assert done.stdout.split()[:2] == [str(uid), str(gid)]
    if is_root:
        assert "0" not in done.stdout.split(), "root's groups must not be kept"


def test_without_a_user_a_child_runs_as_its_parent() -> None:
    assert as_user("") == {}


def test_a_user_that_does_not_exist_is_told_to_root_only() -> None:
    if os.geteuid() == ROOT:
        with pytest.raises(EnvironmentMissing, match="no user 'zmount-no-such-user'"):
            as_user("zmount-no-such-user")
    else:
        assert as_user("zmount-no-such-user") == {}


def test_a_child_dies_with_a_parent_that_is_killed() -> None:
    program = f"""
import subprocess, time
from zmount.effects.child_process import dying_with_us
child = subprocess.Popen(dying_with_us({sys.executable!r}, ("/bin/sleep", "60")))
print(child.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)

        parent.send_signal(signal.SIGKILL)

        wait_until(lambda: not is_alive(child), "the child is dead")


def test_a_child_whose_parent_is_gone_already_runs_nothing() -> None:
    command = list(dying_with_us(sys.executable, ("/bin/echo", "it ran")))
    command[command.index(str(os.getpid()))] = "1"

    done = subprocess.run(command, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (1, "")
