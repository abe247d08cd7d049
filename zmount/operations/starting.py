"""One process: may it be started, and does it answer, or why not?"""

from __future__ import annotations

from zmount.effects.answers import Answer
from zmount.effects.clock import Stopwatch, ticks
from zmount.effects.diagnosis import diagnose, in_use
from zmount.effects.local_files import is_directory, text_of, why_not_runnable, why_not_writable
from zmount.effects.process_manager import Kept, Written
from zmount.errors import EnvironmentMissing, ProcessFailed
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.status import ProcessStatus, start_timeout_s
from zmount.topology.processes import Process


def must_be_startable(seen: ProcessStatus, local: LocalProcesses) -> None:
    """Refuse to start the process that was SEEN, where that could only fail.

    :raises EnvironmentMissing: its program, or what that is run by, is not there
    :raises ProcessFailed: it hangs, its files are not there, or its address is
        in use
    """
    process = seen.process
    name = process.name
    if seen.state == "foreign":
        raise ProcessFailed(f"{name}: {in_use(process, seen.owner)}")
    if seen.state in ("unmanaged", "not answering"):
        raise ProcessFailed(
            f"{name} runs as pid {seen.pid}, but {seen.detail}", hint=f"zmount restart {name}"
        )
    if problem := why_not_runnable(process.program[0]):
        raise EnvironmentMissing(
            f"{name}: {problem}",
            hint="install ZEO or Zope into that virtual environment, or correct venv",
        )
    for file in local.files:
        if name in file.processes and text_of(file.path) is None:
            raise ProcessFailed(f"{name}: {file.path} is not there", hint="zmount apply")
    for path in (process.directory / "var", process.transcript.parent):
        if problem := why_not_writable(path):
            is_there = is_directory(path)
            hint = "act as the user who applied before, or as root" if is_there else "zmount apply"
            raise ProcessFailed(f"{name}: {problem}", hint=hint)


def outdated_files(process: Process, local: LocalProcesses) -> tuple[str, ...]:
    """Return a warning for each file of PROCESS that is not what the topology says."""
    return tuple(
        f"{file.path} is not what {local.topology.file} says now: see zmount diff-config"
        for file in local.files
        if process.name in file.processes and (text_of(file.path) or file.text) != file.text
    )


def wait_for_answer(process: Process, before: Written, local: LocalProcesses) -> tuple[int, Answer]:
    """Wait until PROCESS, just started, answers; return its pid and its answer.

    BEFORE is where its logs ended before the start.

    :raises ProcessFailed: with the reason and the last lines that it wrote. One
        that died is not left to die again and again; one that is slow stays.
    """
    watch = Stopwatch()
    answer = Answer(is_answering=False, detail="")
    pid: int | None = None
    for _ in ticks(start_timeout_s(process)):
        kept = local.manager.observe(process)
        if _has_died(kept, pid):
            local.manager.stop(process)
            how = f" after {watch.seconds:.1f} s" + (f" ({kept.detail})" if kept.detail else "")
            raise _died(process, before, local, how)
        pid = kept.pid
        answer = local.ask(process)
        if answer.is_answering and pid is not None:
            return pid, answer
    how = f" as pid {pid} for {watch.seconds:.0f} s ({answer.detail})"
    raise _slow(process, before, local, how)


def _has_died(kept: Kept, pid: int | None) -> bool:
    """True if the process, PID a moment ago, is not what was started."""
    is_same = kept.pid is not None and pid in (None, kept.pid)
    return not kept.is_kept or bool(kept.restarts) or not is_same


def _died(process: Process, before: Written, local: LocalProcesses, how: str) -> ProcessFailed:
    reason, lines = diagnose(process, local.manager.printed(process, before), before)
    return ProcessFailed(
        f"{process.name} died{how}" + (f": {reason}" if reason else "") + _quoted(lines),
        hint=_where_to_look(process, local),
    )


def _slow(process: Process, before: Written, local: LocalProcesses, how: str) -> ProcessFailed:
    _, lines = diagnose(process, local.manager.printed(process, before), before)
    return ProcessFailed(
        f"{process.name} runs{how}, but does not answer at {process.address}" + _quoted(lines),
        hint=f"{_where_to_look(process, local)}; zmount status {process.name}",
    )


def _quoted(lines: tuple[str, ...]) -> str:
    return "".join(f"\n  | {line}" for line in lines)


def _where_to_look(process: Process, local: LocalProcesses) -> str:
    places = [local.manager.output_place(process)]
    if process.log.path is not None:
        places.append(str(process.log.path))
    return f"see {' and '.join(places)}"
