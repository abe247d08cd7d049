"""supervisor: one supervisord for a host's processes, asked over its unix socket.

supervisord starts all that has autostart as it comes up. Here they are wanted
one after the other, so those are ended again before they have opened anything.
A supervisord stays when its processes are stopped, for whoever runs it.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import xmlrpc.client
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from zmount.effects.clock import Stopwatch, ticks
from zmount.effects.local_files import is_file, why_not_readable
from zmount.effects.log_tail import text_since
from zmount.effects.process_manager import Kept, Written, stop_timeout_s
from zmount.effects.process_table import command_line
from zmount.errors import EnvironmentMissing, ProcessFailed
from zmount.topology.hosts import Host
from zmount.topology.managers import supervisor_conf, supervisor_socket
from zmount.topology.processes import Process

# supervisor.states.ProcessStates and supervisor.xmlrpc.Faults
_KEPT = (10, 20, 30, 40)  # STARTING, RUNNING, BACKOFF, STOPPING
_BAD_NAME, _ALREADY_STARTED, _NOT_RUNNING, _STILL_RUNNING = 10, 60, 70, 91
_GRACE_S = 10


class Supervisor:
    """Implements :class:`ProcessManager` with the supervisord of HOST."""

    name = "supervisor"

    def __init__(self, host: Host) -> None:
        self._host = host
        self._conf = supervisor_conf(host)

    def observe(self, process: Process) -> Kept:
        """Return what supervisord says of PROCESS."""
        said = self._call("getProcessInfo", process.name, unless=_BAD_NAME)
        if said is None:
            return Kept(is_kept=False)
        pid = said["pid"] or None
        return Kept(is_kept=said["state"] in _KEPT, pid=pid, detail="" if pid else _last_end(said))

    def start(self, process: Process) -> None:
        """Start PROCESS, with supervisord if that does not run."""
        if self._call("getState") is None:
            self._run_supervisord()
            self._hold_back()
        self._update(process)
        self._call("startProcess", process.name, False, unless=_ALREADY_STARTED)
        for _ in ticks(_GRACE_S):
            pid = self.observe(process).pid
            if pid is None or process.program[-1] in command_line(pid):
                return  # before exec, a signal to stop would be lost

    def stop(self, process: Process) -> bool:
        """Stop PROCESS; supervisord kills it after its stopwaitsecs."""
        watch = Stopwatch()
        self._call("stopProcess", process.name, False, unless=_NOT_RUNNING)
        for _ in ticks(stop_timeout_s(process) + _GRACE_S):
            if not self.observe(process).is_kept:
                return watch.seconds < stop_timeout_s(process)
        raise ProcessFailed(f"{process.name}: supervisord does not get it to end")

    def output_place(self, process: Process) -> str:
        """Return where a person finds what PROCESS printed."""
        return str(process.transcript)

    def printed(self, process: Process, before: Written) -> str:
        """Return what PROCESS printed since BEFORE."""
        return text_since(process.transcript, before.transcript)

    def _update(self, process: Process) -> None:
        """Let supervisord take over what its configuration says of PROCESS now."""
        ((added, changed, _),) = self._call("reloadConfig")
        if process.name in changed:
            self._call("stopProcessGroup", process.name)
            self._call("removeProcessGroup", process.name, unless=_STILL_RUNNING)
        if process.name in (*added, *changed):
            self._call("addProcessGroup", process.name)

    def _hold_back(self) -> None:
        """End all that supervisord just started: it has not opened anything yet.

        By SIGKILL, since a signal that comes between fork and exec is lost.
        """
        self._call("stopAllProcesses", False)
        self._call("signalAllProcesses", "KILL")
        for _ in ticks(_GRACE_S):
            if not any(said["state"] in _KEPT for said in self._call("getAllProcessInfo")):
                return
        raise ProcessFailed("supervisord does not get the processes to end that it began with")

    def _run_supervisord(self) -> None:
        if problem := why_not_readable(self._conf):
            raise ProcessFailed(f"supervisord does not start: {problem}", hint="zmount apply")
        done = subprocess.run(
            [self._supervisord(), "-c", str(self._conf)],
            cwd=self._host.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines = done.stdout.strip().splitlines() or [f"exit status {done.returncode}"]
        said = next((line for line in lines if line.startswith("Error: ")), lines[-1])
        if done.returncode == 0:
            for _ in ticks(_GRACE_S):
                if self._call("getState") is not None:
                    return
            said = f"it does not answer at {supervisor_socket(self._host)}"
        raise ProcessFailed(f"supervisord does not start: {said}", hint=f"see {self._conf}")

    def _supervisord(self) -> str:
        """Return the program: of the host's environment, beside zmount, or on the PATH."""
        for directory in (self._host.venv / "bin", Path(sys.executable).parent):
            if is_file(directory / "supervisord"):
                return str(directory / "supervisord")
        found = shutil.which("supervisord")
        if found is None:
            raise EnvironmentMissing(
                f"there is no supervisord in {self._host.venv / 'bin'}, nor on the PATH",
                hint=f"{self._host.venv / 'bin' / 'pip'} install supervisor",
            )
        return found

    def _call(self, method: str, *arguments: Any, unless: int | None = None) -> Any:
        """Return what METHOD of supervisord gives; None if none runs, or of the fault UNLESS.

        :raises ProcessFailed: it cannot be asked, or refuses
        """
        transport = _UnixTransport(str(supervisor_socket(self._host)))
        with xmlrpc.client.ServerProxy("http://supervisor", transport=transport) as server:
            try:
                return getattr(server.supervisor, method)(*arguments)
            except xmlrpc.client.Fault as fault:
                if fault.faultCode == unless:
                    return None
                what = f"{method} {' '.join(map(str, arguments[:1]))}".strip()
                raise ProcessFailed(f"supervisord: {what}: {fault.faultString}") from None
            except (FileNotFoundError, ConnectionRefusedError):
                return None
            except (OSError, xmlrpc.client.ProtocolError) as error:
                raise ProcessFailed(
                    f"supervisord at {supervisor_socket(self._host)} cannot be asked: {error}"
                ) from None


def _last_end(said: dict[str, Any]) -> str:
    if said["spawnerr"]:
        return str(said["spawnerr"])
    if not said["stop"]:
        return ""
    return f"exit status {said['exitstatus']}" if said["exitstatus"] >= 0 else "ended by a signal"


class _UnixTransport(xmlrpc.client.Transport):
    """Speaks XML-RPC over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> HTTPConnection:
        return _UnixConnection(self._path)


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
