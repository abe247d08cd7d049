"""The threads of another process: how much they compute, and their stacks.

Times come from /proc; where there is none, nothing is known. Stacks come from a process
that writes them to a file when it gets SIGUSR1, as zmount's agent lets a Zope do.
"""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

from zmount.agent.watch import STACKS
from zmount.effects.clock import ticks
from zmount.effects.log_tail import size_bytes, text_since
from zmount.effects.process_table import PROC
from zmount.topology.instances import Replica

WRITING_S = 3.0  # for a process that is short of processor time
_THREAD = re.compile(r"^(?:Current thread|Thread) 0x([0-9a-f]+)")
_FRAME = re.compile(r'^  File "(.*)", line (\d+) in (.*)$')


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One line of a stack."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} in {self.function}"


def thread_times(pid: int) -> dict[int, float]:
    """Return how many seconds each thread of process PID has computed, by native id.

    Empty if that is not to be known.
    """
    hertz = os.sysconf("SC_CLK_TCK")
    found: dict[int, float] = {}
    try:
        tasks = list((PROC / str(pid) / "task").iterdir())
    except OSError:
        return {}
    for task in tasks:
        try:
            fields = (task / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        found[int(task.name)] = (int(fields[11]) + int(fields[12])) / hertz
    return found


def catches(pid: int, number: signal.Signals) -> bool:
    """True if process PID has a handler of its own for the signal NUMBER.

    One that has none would die of most signals.
    """
    try:
        lines = (PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return False
    masks = [int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:")]
    return any(mask >> (number - 1) & 1 for mask in masks)


def stacks_of(replica: Replica, pid: int) -> dict[int, tuple[Frame, ...]] | None:
    """Let the process PID of REPLICA write its stacks; return them by thread ident.

    The innermost frame comes first. None: it does not do that; then no signal is sent.
    """
    path = replica.var / STACKS
    if not _is_of(Path(path), pid) or not catches(pid, signal.SIGUSR1):
        return None
    before = size_bytes(path)
    try:
        os.kill(pid, signal.SIGUSR1)
    except (ProcessLookupError, PermissionError):
        return None
    written = before
    for _ in ticks(WRITING_S):
        size = size_bytes(path)
        if size == written > before:
            break
        written = size
    return parse_stacks(text_since(path, before))


def parse_stacks(text: str) -> dict[int, tuple[Frame, ...]]:
    """Return the stacks in TEXT, which Python's faulthandler wrote, by thread ident."""
    stacks: dict[int, tuple[Frame, ...]] = {}
    ident: int | None = None
    for line in text.splitlines():
        if thread := _THREAD.match(line):
            ident = int(thread[1], 16)
            stacks[ident] = ()
        elif ident is not None and (frame := _FRAME.match(line)):
            found = Frame(file=frame[1], line=int(frame[2]), function=frame[3])
            stacks[ident] += (found,)
    return stacks


def _is_of(path: Path, pid: int) -> bool:
    """True if process PID has PATH open."""
    try:
        wanted = os.path.realpath(path)
        return any(os.path.realpath(link) == wanted for link in (PROC / str(pid) / "fd").iterdir())
    except OSError:
        return False
