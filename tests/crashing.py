"""Processes that really die: kill -9 at a chosen call into the operating system."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

# what Python reports (PEP 578) before it changes or opens a file
EVENTS = frozenset(
    "open os.rename os.remove os.rmdir os.mkdir os.chmod os.chown os.truncate".split()
)
FINISHED, RAISED = 0, 3


def run_in_child(function: Callable[[], object]) -> int:
    """Run FUNCTION in a process of its own; return its exit status, or minus its signal."""
    pid = os.fork()
    if pid == 0:
        status = RAISED
        try:
            function()
            status = FINISHED
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed_at(number: int, function: Callable[[], object]) -> bool:
    """Run FUNCTION in a child that is killed before its NUMBER-th such call, from 0.

    Return False if it came to its end before that.
    """

    def dying() -> None:
        calls = 0

        def count(event: str, arguments: tuple[object, ...]) -> None:
            nonlocal calls
            if event in EVENTS:
                if calls == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                calls += 1

        real_fsync = os.fsync

        def fsync(descriptor: int) -> None:
            count("open", ())
            real_fsync(descriptor)

        os.fsync = fsync  # fsync is not reported, and a crash before it is worth trying
        sys.addaudithook(count)
        function()

    status = run_in_child(dying)
    assert status in (FINISHED, -signal.SIGKILL), f"the child ended with {status}"
    return status == -signal.SIGKILL


def snapshot(directory: Path) -> dict[str, tuple[int, str]]:
    """Return the mode and text of everything in DIRECTORY, but for zmount's own.

    That is its journal, its lock and its history.
    """
    found = {}
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if name.endswith("var/zmount") or "/journal" in name or name.endswith("var/zmount/lock"):
            continue
        if path.suffix == ".history":
            continue
        text = path.read_text(errors="surrogateescape") if path.is_file() else "(directory)"
        found[name] = (path.stat().st_mode & 0o7777, text)
    return found
