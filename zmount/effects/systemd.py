"""systemd: a unit per process, reached by ``systemctl``.

Units of processes that run as a user of their own belong to the system's
manager; so do root's. Anybody else has his own, ``systemctl --user``.
"""

from __future__ import annotations

import os
import signal
import subprocess

from zmount.effects.log_tail import text_since
from zmount.effects.process_manager import Kept, Written
from zmount.errors import ProcessFailed
from zmount.topology.managers import unit_name
from zmount.topology.processes import Process

_PROPERTIES = (
    "LoadState,ActiveState,SubState,MainPID,NRestarts,Result,ExecMainCode,ExecMainStatus,"
    "NeedDaemonReload"
)
_KEPT = ("active", "activating", "reloading", "deactivating")
_EXITED = "1"  # CLD_EXITED of sigaction(2): ExecMainStatus is an exit status, else a signal


class Systemd:
    """Implements :class:`ProcessManager` with systemd."""

    name = "systemd"

    def observe(self, process: Process) -> Kept:
        """Return what systemd says of the unit of PROCESS."""
        return read_properties(_systemctl(process, "show", f"--property={_PROPERTIES}"))

    def start(self, process: Process) -> None:
        """Start the unit of PROCESS, as it is written now."""
        shown = _systemctl(process, "show", "--property=LoadState,NeedDaemonReload")
        if "NeedDaemonReload=yes" in shown:
            _systemctl(process, "daemon-reload")
        if "LoadState=not-found" in shown:
            raise ProcessFailed(
                f"{process.name}: systemd does not know {unit_name(process)}",
                hint="systemctl link, or enable, the generated units",
            )
        _systemctl(process, "reset-failed")
        _systemctl(process, "start")

    def stop(self, process: Process) -> bool:
        """Stop the unit of PROCESS; systemd kills it after its TimeoutStopSec."""
        _systemctl(process, "stop")
        shown = _systemctl(process, "show", "--property=Result,ActiveState")
        if self.observe(process).is_kept:
            raise ProcessFailed(f"{process.name}: systemd does not get it to end")
        return "Result=timeout" not in shown

    def output_place(self, process: Process) -> str:
        """Return where a person finds what PROCESS printed."""
        if "transcript" in process.runner:
            return str(process.transcript)
        return " ".join(["journalctl", *_scope(process), "--unit", unit_name(process)])

    def printed(self, process: Process, before: Written) -> str:
        """Return what PROCESS printed since BEFORE, from the journal or its own file."""
        if "transcript" in process.runner:
            return text_since(process.transcript, before.transcript)
        said = ["--unit", unit_name(process), f"--since=@{before.at:.0f}", "--lines=200"]
        try:
            done = subprocess.run(
                ["journalctl", *_scope(process), "--output=cat", "--quiet", *said],
                capture_output=True,
                text=True,
            )
        except FileNotFoundError:
            return ""  # a systemd without journal
        return done.stdout


def read_properties(shown: str) -> Kept:
    """Return what the output of ``systemctl show`` means.

    Source: systemctl(1), org.freedesktop.systemd1(5).
    """
    said = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    pid = int(said.get("MainPID") or 0) or None
    restarts = int(said.get("NRestarts") or 0)
    return Kept(
        is_kept=said.get("ActiveState") in _KEPT,
        pid=pid,
        restarts=restarts or None,
        detail="" if pid is not None else _end(said),
    )


def _end(said: dict[str, str]) -> str:
    """Return how the unit's main process ended."""
    code, status = said.get("ExecMainCode", "0"), said.get("ExecMainStatus", "0")
    if said.get("LoadState") == "not-found":
        return "systemd has no such unit"
    if code == "0":
        return "" if said.get("Result") in ("success", None) else said["Result"]
    if code == _EXITED:
        return f"exit status {status}"
    return f"terminated by {signal.Signals(int(status)).name}"


def _scope(process: Process) -> list[str]:
    return [] if process.user or os.geteuid() == 0 else ["--user"]


def _systemctl(process: Process, verb: str, *options: str) -> str:
    """Return what systemctl VERB says of the unit of PROCESS.

    :raises ProcessFailed: systemctl does not work here, or refuses
    """
    unit = [] if verb == "daemon-reload" else [unit_name(process)]
    try:
        done = subprocess.run(
            ["systemctl", *_scope(process), "--no-ask-password", verb, *options, *unit],
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        raise ProcessFailed(
            f"{process.name}: there is no systemctl on this machine",
            hint="manager zdaemon, or supervisor",
        ) from None
    if done.returncode != 0 and verb not in ("show", "reset-failed"):
        raise _refused(process, done)
    if done.returncode != 0 and not done.stdout and verb == "show":
        raise _refused(process, done)
    return done.stdout


def _refused(process: Process, done: subprocess.CompletedProcess[str]) -> ProcessFailed:
    lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
    hint = "; ".join(line for line in lines[1:] if line.startswith("See "))
    if "not been booted with systemd" in lines[0]:
        hint = "manager zdaemon, or supervisor"
    return ProcessFailed(f"{process.name}: systemctl: {lines[0]}", hint=hint)
