"""Let whoever writes a renamed log open a new file, each in his own way, and see that he did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zmount.effects.clock import ticks
from zmount.effects.log_writers import (
    FileId,
    Writers,
    is_server,
    is_zdaemon,
    signal_to_reopen,
    writers,
)
from zmount.effects.process_table import Owner
from zmount.effects.zdaemon import reopen_files
from zmount.errors import ProcessFailed
from zmount.render.log_files import LogFile

REOPENS_S = 10.0  # for a server that is busy
# A signal that comes while the server's main thread writes a line comes to nothing: Python
# raises "reentrant call" in the handler, and the logging module swallows that.
AGAIN_S = 0.5


def reopen(renamed: Mapping[FileId, Sequence[LogFile]]) -> dict[FileId, str]:
    """Let the writers of the files RENAMED open new ones; return why one was not, by file.

    RENAMED says which logs each was. A process is told once, however many it writes.
    """
    seen = writers(renamed)
    troubles = _tell_all(renamed, seen)
    waiting = {file for file in renamed if file not in troubles}
    pids = {owner.pid for file in waiting for owner in seen.of(file) if owner.pid is not None}
    still, told_at = Writers(), 0.0
    for seconds in ticks(REOPENS_S) if pids else ():
        still = writers(waiting, among=pids)
        if not still.found:
            break
        if seconds > told_at + AGAIN_S:
            _tell_all({file: renamed[file] for file, _ in still.found}, still)
            told_at = seconds
    for file, owner in still.found:
        troubles[file] = f"pid {owner.pid} was told to open a new file, and has not yet"
    return troubles


def _tell_all(renamed: Mapping[FileId, Sequence[LogFile]], seen: Writers) -> dict[FileId, str]:
    """Tell whom was SEEN to write the files RENAMED; return why one was not, by file."""
    troubles: dict[FileId, str] = {}
    told: dict[tuple[int | None, str], str] = {}
    for file, logs in renamed.items():
        for owner in seen.of(file):
            if why := _tell(owner, logs, told):
                troubles[file] = why
    return troubles


def _tell(owner: Owner, logs: Sequence[LogFile], told: dict[tuple[int | None, str], str]) -> str:
    """Tell OWNER, who writes what was LOGS, to open a new file; return why not, or ""."""
    for log in logs:
        process = log.process
        if process is None:
            continue
        key = (owner.pid, log.reopening)
        if log.reopening == "signal" and is_server(owner, process):
            if key not in told:
                told[key] = signal_to_reopen(owner, process)
            return told[key]
        if log.reopening == "zdaemon" and is_zdaemon(owner, process):
            if key not in told:
                told[key] = _ask_zdaemon(log)
            return told[key]
    return f"{owner} writes it, too, and cannot be told to open a new file"


def _ask_zdaemon(log: LogFile) -> str:
    assert log.process is not None
    try:
        return "" if reopen_files(log.process) else "its zdaemon does not answer"
    except ProcessFailed as why:
        return str(why)
