"""Do a scheduled job now, as cron or systemd's timer asks for it.

1. wait, where cron calls, as long as the schedule's jitter says at most.
2. lock: one run of a job at a time; a second one waits or leaves, as the schedule says.
3. look at the clock: outside of the schedule's windows nothing is begun.
4. do it in a process of its own, with its output in the job's log, and end that when it
   takes too long.
5. tell of a failure, by mail and by the schedule's own program. That somebody could not
   be told never hides how the job ended.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from zmount.effects.clock import Stopwatch, now, pause
from zmount.effects.failure_hook import run_hook
from zmount.effects.job_process import Ended, Work, do_logged
from zmount.effects.local_zone import local_time
from zmount.effects.lock import locked
from zmount.effects.mail import send_mail
from zmount.errors import JobFailed, JobRefused, Locked, UnknownName, ZMountError
from zmount.operations.health_readings import EXIT_STATUS
from zmount.operations.recorded import JOB, Record, recorded
from zmount.plan.job_words import job_line, job_words
from zmount.topology.hosts import Host
from zmount.topology.schedules import Schedule
from zmount.topology.topology import Topology

_FOUND = {status: state for state, status in EXIT_STATUS.items() if state != "ok"}
_POLL_S = 1.0
_BY_SIGNAL = 128  # a shell adds it to the number of the signal that ended a program


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWish:
    """How to run: ``is_forced`` also outside of the windows; ``has_jitter`` as cron calls it."""

    is_dry_run: bool = False
    is_forced: bool = False
    has_jitter: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRun:
    """What came of a run. ``exit_status`` is that of what it did, 0 where it was not done.

    ``lines`` are the last of its output; ``untold`` says who could not be told of its failure.
    """

    schedule: Schedule
    does: str
    log: PurePosixPath
    is_dry_run: bool = False
    exit_status: int = 0
    seconds: float = 0.0
    sentence: str = ""
    lines: tuple[str, ...] = ()
    untold: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return this for ``--json``."""
        return {
            "name": self.schedule.name,
            "job": self.schedule.job,
            "does": self.does,
            "log": str(self.log),
            "dry_run": self.is_dry_run,
            "exit_status": self.exit_status,
            "seconds": round(self.seconds, 3),
            "sentence": self.sentence,
            "lines": list(self.lines),
            "untold": list(self.untold),
        }


def run_job(topology: Topology, host: Host, name: str, wish: RunWish) -> JobRun:
    """Do the schedule NAME of HOST, now. How the job itself ended is in the result.

    :raises UnknownName: there is no such schedule, or it is another host's
    :raises Locked: the run before is at work still
    :raises JobFailed: it was not begun, because of its windows or its log
    """
    schedule = _schedule(topology, host, name)
    run = JobRun(schedule=schedule, does=job_line(schedule, host), log=schedule.log(host))
    if wish.is_dry_run:
        return replace(
            run, is_dry_run=True, sentence=_why_not(schedule) if not wish.is_forced else ""
        )
    if wish.has_jitter and schedule.jitter_s:
        pause(random.uniform(0, schedule.jitter_s))
    with ExitStack() as stack:
        busy = _locked(stack, schedule, host)
        with recorded(topology.file, host.name, "run", subjects=[name]) as record:
            record.entry = replace(record.entry, job=name)
            record.plan([run.does])
            try:
                if busy is not None:
                    raise busy
                if not wish.is_forced:
                    _must_be_open(schedule)
                run = _done(run, topology, host)
            except ZMountError as why:
                raise _told_of(why, run, topology, host) from None
            if run.sentence:
                run = replace(run, untold=tuple(_tell(run, topology, host)))
            _note(record, run)
    return run


def _schedule(topology: Topology, host: Host, name: str) -> Schedule:
    schedule = topology.schedule(name)
    if not schedule.is_on(host):
        other = schedule.hosts[0].name
        raise UnknownName(
            f"schedule {name} is done on host {other}, not on {host.name}",
            hint=f"zmount --host {other}, on that machine",
        )
    return schedule


def _locked(stack: ExitStack, schedule: Schedule, host: Host) -> Locked | None:
    """Let STACK hold the lock of SCHEDULE's runs; return why not, after waiting in vain.

    :raises Locked: it shall leave, not wait
    """
    watch = Stopwatch()
    while True:
        try:
            stack.enter_context(locked(host.directory, name=f"run-{schedule.name}"))
            return None
        except Locked as why:
            pid = str(why).partition("(pid ")[2].partition(",")[0]
            busy = f"job {schedule.name} is at work still (pid {pid})"
            hint = f"zmount history {schedule.name}; its output is in {schedule.log(host)}"
            if not schedule.wait_s:
                raise Locked(f"{busy}: this run leaves", hint=hint) from None
            if watch.seconds >= schedule.wait_s:
                waited = f"after {watch.seconds:.0f} s of waiting this run leaves"
                return Locked(f"{busy}: {waited}", hint=hint)
        pause(min(_POLL_S, schedule.wait_s))


def _must_be_open(schedule: Schedule) -> None:
    """Refuse to begin outside of the windows.

    :raises JobRefused: with the time and the windows
    """
    if why := _why_not(schedule):
        raise JobRefused(
            f"job {schedule.name} is not begun: {why}", hint=f"zmount run --force {schedule.name}"
        )


def _why_not(schedule: Schedule) -> str:
    moment = local_time(now())
    if schedule.may_begin(moment):
        return ""
    windows = " or ".join(window.text for window in schedule.windows)
    return f"it is {moment:%a %H:%M}, which is not in {windows}"


def _done(run: JobRun, topology: Topology, host: Host) -> JobRun:
    schedule = run.schedule
    if schedule.job == "command":
        program: tuple[str, ...] = ("/bin/sh", "-c", schedule.command)
    else:
        zmount = (sys.executable, "-m", "zmount", "-f", topology.file, "--host", host.name)
        program = (*zmount, *job_words(schedule, host))
    ended = do_logged(
        Work(
            program=program,
            title=f"{schedule.name}: {run.does}",
            log=run.log,
            directory=host.directory,
            timeout_s=schedule.timeout_s,
            user=schedule.user,
            environment={JOB: schedule.name},
        )
    )
    return replace(
        run,
        exit_status=_exit_status(ended),
        seconds=ended.seconds,
        sentence=_sentence(run, ended),
        lines=ended.lines,
    )


def _exit_status(ended: Ended) -> int:
    if ended.is_late:
        return JobFailed.exit_code
    return ended.exit_status if ended.exit_status >= 0 else _BY_SIGNAL - ended.exit_status


def _sentence(run: JobRun, ended: Ended) -> str:
    """Return what went wrong, "" if nothing did."""
    if ended.is_late:
        how = f"was ended, because it took longer than {run.schedule.timeout_s} s"
    elif ended.exit_status < 0:
        how = f"was ended by signal {-ended.exit_status}"
    elif run.schedule.job == "health" and ended.exit_status in _FOUND:
        how = f"says {_FOUND[ended.exit_status]}"
    elif ended.exit_status:
        how = f"ended with exit status {ended.exit_status}"
    else:
        return ""
    return f"job {run.schedule.name} failed: {run.does} {how}, after {ended.seconds:.1f} s"


def _note(record: Record, run: JobRun) -> None:
    if run.sentence:
        record.failed(JobFailed(run.sentence, hint=f"see {run.log}"))
        record.entry = replace(record.entry, exit_status=run.exit_status)


def _told_of(why: ZMountError, run: JobRun, topology: Topology, host: Host) -> ZMountError:
    """Tell that RUN was not even begun; return WHY, with who could not be told."""
    run = replace(run, exit_status=why.exit_code, sentence=str(why))
    untold = _tell(run, topology, host)
    return type(why)("\n".join([str(why), *untold]), hint=why.hint)


def _tell(run: JobRun, topology: Topology, host: Host) -> Iterable[str]:
    """Tell whom the schedule names that RUN failed; return who could not be told."""
    schedule, untold = run.schedule, []
    facts = _facts(run, topology, host)
    if schedule.mail:
        subject = f"zmount on {host.name}: {run.sentence}"
        try:
            send_mail(topology.mails, schedule.mail, subject, _mail_text(run, topology))
        except ZMountError as why:
            untold.append(str(why))
    if schedule.on_failure:
        try:
            run_hook(schedule.on_failure, facts, host.directory)
        except ZMountError as why:
            untold.append(str(why))
    return untold


def _facts(run: JobRun, topology: Topology, host: Host) -> dict[str, Any]:
    return {
        "job": run.schedule.name,
        "kind": run.schedule.job,
        "does": run.does,
        "result": "failed",
        "exit_status": run.exit_status,
        "sentence": run.sentence,
        "seconds": round(run.seconds, 3),
        "host": host.name,
        "conf": topology.file,
        "log": str(run.log),
        "lines": list(run.lines),
    }


def _mail_text(run: JobRun, topology: Topology) -> str:
    lines = [run.sentence, "", f"topology: {topology.file}", f"log: {run.log}"]
    if run.lines:
        lines += ["", "Its last lines:", "", *(f"  {line}" for line in run.lines)]
    return "\n".join(lines) + "\n"
