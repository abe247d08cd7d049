"""Programs that zmount runs itself, for as long as a command lasts."""

from __future__ import annotations

import os
import pwd
import signal
from typing import Any

from zmount.errors import EnvironmentMissing
from zmount.topology.processes import Process

# Runs the rest of its command line, after asking the kernel to send it SIGTERM
# when its parent dies, by kill -9 too. The parent may have died before that.
_DIE_WITH_PARENT = f"""\
import ctypes, os, sys
libc = ctypes.CDLL(None)
if hasattr(libc, "prctl"):
    libc.prctl(1, {signal.SIGTERM.value})  # PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv[1]):
    sys.exit(1)
os.execv(sys.argv[2], sys.argv[2:])
"""


def dying_with_us(python: str, program: tuple[str, ...]) -> tuple[str, ...]:
    """Return the command line that runs PROGRAM so that it does not outlive zmount."""
    return (python, "-c", _DIE_WITH_PARENT, str(os.getpid()), *program)


def environment(process: Process) -> dict[str, str]:
    """Return the environment variables that PROCESS runs with."""
    said = {name: process.environment.text(name) for name in process.environment}
    return {**os.environ, **said}


def acts_for(user: str) -> bool:
    """True if what we run for USER is run as that user, because we are root."""
    return bool(user) and os.geteuid() == 0


def as_user(user: str) -> dict[str, Any]:
    """Return the arguments that make ``subprocess`` run a child of root's as USER.

    Whoever is not root runs what he runs as himself.

    :raises EnvironmentMissing: there is no such user
    """
    if not acts_for(user):
        return {}
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise EnvironmentMissing(
            f"there is no user {user!r} on this machine", hint=f"useradd --system {user}"
        ) from None
    groups = os.getgrouplist(entry.pw_name, entry.pw_gid)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": groups}
