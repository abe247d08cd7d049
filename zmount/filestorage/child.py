"""Child processes for heavy work: they find the same modules, and die with this process."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
# the child finds its modules where this process does: buildout puts them into sys.path
_START = (
    "import sys; sys.path[:] = eval(sys.argv[1]); "
    "from zmount.filestorage.child import die_with; die_with(int(sys.argv[2])); "
    "from {module} import {function}; {function}(*sys.argv[3:])"
)
# glibc would keep large blocks that are freed for later, from the second one on
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": str(1 << 17), "MALLOC_ARENA_MAX": "2"}


def command(module: str, function: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that calls FUNCTION of MODULE with ARGUMENTS in a process of its own."""
    start = _START.format(module=module, function=function)
    return (sys.executable, "-c", start, repr(sys.path), str(os.getpid()), *arguments)


def environment() -> dict[str, str]:
    """Return the environment for such a process."""
    return {**_MALLOC, **os.environ}


def die_with(parent: int) -> None:
    """Let this process be killed when the thread of the process PARENT ends that started it."""
    with suppress(OSError, AttributeError):  # Linux; elsewhere the end of its input does it
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)  # it died before the call
