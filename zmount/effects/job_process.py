"""The process that does a scheduled job: its output in a log, its time limited."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import BinaryIO

from zmount.effects.child_process import as_user, dying_with_us
from zmount.effects.clock import Stopwatch, now
from zmount.effects.local_zone import local_time
from zmount.effects.log_rotation import log_on_disk, move_on
from zmount.errors import JobFailed
from zmount.plan.log_shift import shift
from zmount.topology.logs import DATE_FORMAT, JOB_FORMAT

LARGEST = 1024 * 1024  # bytes of a job's log, before a run begins a new one
KEPT = 5  # old logs
KILL_AFTER_S = 30  # between SIGTERM and SIGKILL
_TAIL_BYTES = 16 * 1024
_TAIL_LINES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A PROGRAM to run in DIRECTORY: its output goes to LOG, under a line that says TITLE.

    ``timeout_s`` 0 is no limit. ``user`` runs it where zmount is root, "" is whoever runs
    zmount. ``environment`` is added to ours.
    """

    program: tuple[str, ...]
    title: str
    log: PurePosixPath
    directory: PurePosixPath
    timeout_s: int = 0
    user: str = ""
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a job's process ended; ``lines`` are the last that it wrote.

    ``exit_status`` is negative where a signal ended it. ``is_late``: it took too long.
    """

    exit_status: int
    seconds: float
    lines: tuple[str, ...]
    is_late: bool = False


def do_logged(work: Work) -> Ended:
    """Do WORK and return when all of it has ended; also when we are interrupted.

    :raises JobFailed: it cannot be begun, or its log cannot be written
    """
    watch = Stopwatch()
    with _log(work) as log:
        began = log.tell()
        process = _begun(work, log)
        is_late = False
        try:
            process.wait(work.timeout_s or None)
        except subprocess.TimeoutExpired:
            is_late = True
        finally:
            _end(process)
        lines = _tail(work.log, began)
        ended = Ended(
            exit_status=process.returncode, seconds=watch.seconds, lines=lines, is_late=is_late
        )
        how = f"took longer than {work.timeout_s} s" if is_late else f"exit {ended.exit_status}"
        is_well = ended.exit_status == 0 and not is_late
        _note(log, f"{work.title}: {how}, after {ended.seconds:.1f} s", is_error=not is_well)
    return ended


def _begun(work: Work, log: BinaryIO) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            dying_with_us(sys.executable, work.program),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=work.directory,
            env={**os.environ, **work.environment},
            start_new_session=True,  # so that all of it can be ended
            **as_user(work.user),
        )
    except OSError as why:
        raise JobFailed(f"{work.title}: it cannot be begun: {why.strerror}") from None


def _end(process: subprocess.Popen[bytes]) -> None:
    """End PROCESS and what it began, gently at first; nothing if it has ended."""
    if process.poll() is not None:
        return
    for number, timeout_s in ((signal.SIGTERM, KILL_AFTER_S), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout_s)
            return


@contextmanager
def _log(work: Work) -> Iterator[BinaryIO]:
    """Yield the log, open at its end; one that has grown large is the old one from now on.

    :raises JobFailed: it cannot be written
    """
    path = Path(work.log)
    try:
        path.parent.mkdir(exist_ok=True)
        disk = log_on_disk(work.log)
        if disk.size_bytes > LARGEST and not disk.refused:
            move_on(disk, shift(path.name, disk.old, KEPT))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o640), "ab", buffering=0) as log:
            log.seek(0, os.SEEK_END)
            _note(log, work.title)
            yield log
    except OSError as why:
        raise JobFailed(
            f"the log {path} cannot be written: {why.strerror}",
            hint="act as the user who applied before",
        ) from None


def _note(log: BinaryIO, message: str, *, is_error: bool = False) -> None:
    """Write MESSAGE with its time, on a line of its own, so that ``zmount logs`` finds it."""
    level = "ERROR" if is_error else "INFO"
    time = local_time(now()).strftime(DATE_FORMAT)
    line = JOB_FORMAT % {"asctime": time, "levelname": level, "message": message}
    log.write(line.encode("utf-8", "backslashreplace") + b"\n")


def _tail(path: PurePosixPath, began: int) -> tuple[str, ...]:
    """Return the last lines that stand in the log PATH behind BEGAN."""
    try:
        with Path(path).open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(began, size - _TAIL_BYTES))
            text = log.read().decode("utf-8", "backslashreplace")
    except OSError:
        return ()
    return tuple(text.splitlines()[-_TAIL_LINES:])
