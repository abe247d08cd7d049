"""zdaemon: a manager process per server, reached over its own unix socket.

zdaemon's manager is started as ``zdctl start`` does it, but without zdctl's
waiting in whole seconds. Its own ``stop`` sends SIGTERM, of which runwsgi dies
without saving its index; a Zope therefore gets SIGINT, ends with status 0, and
its manager ends with it.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import ZConfig
import zdaemon

from zmount.effects.child_process import as_user
from zmount.effects.clock import Stopwatch, ticks
from zmount.effects.log_tail import size_bytes, text_since
from zmount.effects.process_manager import Kept, Written, stop_timeout_s
from zmount.effects.process_table import is_alive
from zmount.effects.signals import end
from zmount.errors import ProcessFailed
from zmount.topology.processes import Process

_SCHEMA = Path(zdaemon.__file__).with_name("schema.xml")
_ENDED = re.compile(r"pid \d+: (exit status \d+|terminated by \w+)")
ANSWER_TIMEOUT_S = 10
_NOTICES_S = 2  # in which a manager that still can will have noticed a death
_STARTS_S = 30  # for a manager to be in the background
_GRACE_S = 10  # for a manager to end after its process, and for a kill to work


class Zdaemon:
    """Implements :class:`ProcessManager` with zdaemon."""

    name = "zdaemon"

    def observe(self, process: Process) -> Kept:
        """Return what zdaemon's manager process says of PROCESS."""
        said = _command(process, "status")
        if said is None:
            return Kept(is_kept=False, detail=_last_end(process))
        state = _state(said)
        pid = int(state.get("application", 0)) or None
        if pid is not None and not is_alive(pid):
            pid = None
        deaths = int(state.get("backoff", 0))
        return Kept(
            is_kept=state.get("should_be_up") == "1",
            pid=pid,
            restarts=deaths or None,
            detail=_last_end(process) if pid is None or deaths else "",
        )

    def start(self, process: Process) -> None:
        """Start zdaemon's manager of PROCESS in the background."""
        if _command(process, "status") is not None:
            self.stop(process)  # a manager without a process that lives
        done = _run_manager(process, _configuration(process))
        if done.returncode != 0:
            lines = done.stdout.strip().splitlines() or [f"exit status {done.returncode}"]
            # an error of zdaemon's own is followed by how to get help
            said = next((line for line in lines if line.startswith("Error: ")), lines[-1])
            raise ProcessFailed(f"{process.name}: zdaemon does not start: {said}")

    def output_place(self, process: Process) -> str:
        """Return where a person finds what PROCESS printed."""
        return str(process.transcript)

    def printed(self, process: Process, before: Written) -> str:
        """Return what PROCESS printed since BEFORE."""
        return text_since(process.transcript, before.transcript)

    def stop(self, process: Process) -> bool:
        """End PROCESS and its manager; True if it ended by itself."""
        timeout_s = stop_timeout_s(process)
        pid = self.observe(process).pid
        has_ended = pid is None
        if process.stop_signal != "TERM" and pid is not None:
            _command(process, f"kill {signal.Signals[f'SIG{process.stop_signal}'].value}")
            if _is_gone_after(process, pid, timeout_s):
                return True
            has_ended = not is_alive(pid)  # and its manager is slow to see it
        watch = Stopwatch()
        _command(process, "stop")  # SIGTERM; and SIGKILL after zdaemon's stop-timeout
        if not _is_gone_after(process, pid, timeout_s + _GRACE_S):
            raise ProcessFailed(
                f"{process.name}: pid {pid} does not end, not even killed",
                hint=f"it may hang in the kernel: ps -o pid,stat,wchan {pid}",
            )
        return has_ended or (process.stop_signal == "TERM" and watch.seconds < timeout_s)


def reopen_files(process: Process) -> bool:
    """Let the manager of PROCESS open its log and its transcript anew; False if there is none.

    Of SIGUSR2 it would die.

    :raises ProcessFailed: it cannot be asked
    """
    # it answers nothing, so a manager that hears this cannot be told from none
    if _command(process, "status") is None:
        return False
    _command(process, "reopen_transcript")
    return True


def _run_manager(process: Process, conf: Any) -> subprocess.CompletedProcess[str]:
    """Run zdaemon's manager, until it is in the background or gives up.

    :raises ProcessFailed: the user of PROCESS may not run it, or it does not get there
    """
    python = conf.runner.python or sys.executable
    script = [conf.runner.zdrun] if conf.runner.zdrun else ["-m", "zdaemon.zdrun"]
    options = ["-d", "-C", str(process.zdaemon_conf)]
    environment = conf.environment.mapping if conf.environment else {}
    try:
        return subprocess.run(
            # what zdaemon's code makes Python warn of does not belong in a transcript
            [python, "-W", "ignore", *script, *options, *conf.runner.program],
            env={**os.environ, **environment},
            cwd=process.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_STARTS_S,
            **as_user(process.user),
        )
    except subprocess.TimeoutExpired:
        # it tries for ever to remove a socket that it cannot remove
        raise ProcessFailed(
            f"{process.name}: zdaemon cannot listen at {process.zdaemon_socket}",
            hint=f"remove {process.zdaemon_socket}",
        ) from None
    except OSError as error:
        raise ProcessFailed(
            f"{process.name}: {python} cannot be run as user {process.user or os.geteuid()}: "
            f"{error.strerror}",
            hint="install zmount where that user can read it",
        ) from None


def _is_gone_after(process: Process, pid: int | None, timeout_s: float) -> bool:
    """Wait until PROCESS, now PID, and its manager are gone.

    A process that dies of its signal instead of ending with an exit status
    (while it still imports Zope) is started anew by zdaemon: then zdaemon's own
    stop does no harm. One that dies while it is being started may escape zdaemon,
    whose manager then waits for ever for a pid that is gone.
    """
    for seconds in ticks(timeout_s):
        said = _command(process, "status")
        if said is None:
            if pid is None or not is_alive(pid):
                return True
            continue
        state = _state(said)
        kept_pid = int(state.get("application", 0))
        if pid is not None and kept_pid != pid:
            _command(process, "stop")
        elif kept_pid and not is_alive(kept_pid) and seconds > _NOTICES_S:
            end(int(state["manager"]), "TERM", _NOTICES_S)
    return False


def _state(said: str) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", said, re.MULTILINE))


def _last_end(process: Process) -> str:
    """Return how the process ended last, as zdaemon's manager noted it."""
    noted = text_since(process.zdaemon_log, size_bytes(process.zdaemon_log) - 4096)
    ends = _ENDED.findall(noted)
    return ends[-1] if ends else ""


def _command(process: Process, command: str) -> str | None:
    """Return what the manager of PROCESS answers to COMMAND; None if there is none.

    :raises ProcessFailed: it cannot be asked
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(ANSWER_TIMEOUT_S)
        try:
            connection.connect(str(process.zdaemon_socket))
            connection.sendall(command.encode() + b"\n")
            connection.shutdown(socket.SHUT_WR)
            answer = b""
            while part := connection.recv(4096):
                answer += part
        except (FileNotFoundError, ConnectionError, NotADirectoryError):
            return None  # no manager, or it ended while we asked
        except OSError as error:
            raise ProcessFailed(
                f"{process.name}: zdaemon at {process.zdaemon_socket} cannot be asked: "
                f"{error.strerror or error}",
                hint=f"as user {process.user}" if process.user else "",
            ) from None
    return answer.decode() or None


def _configuration(process: Process) -> Any:
    """Return the generated zdaemon.conf as zdaemon reads it."""
    try:
        conf, _ = ZConfig.loadConfig(_schema(), str(process.zdaemon_conf))
    except (ZConfig.ConfigurationError, OSError) as error:
        raise ProcessFailed(
            f"{process.name}: {process.zdaemon_conf} cannot be read: {error}", hint="zmount apply"
        ) from None
    return conf


def _schema() -> Any:
    return ZConfig.loadSchema(str(_SCHEMA))
