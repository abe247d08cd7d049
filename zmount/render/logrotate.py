"""logrotate rules for the logs that do not rotate themselves, by which no line is lost.

A log is renamed, and whoever writes it goes on in the renamed file until he has a new one.
ZEO opens one on SIGUSR2, zdaemon when it is asked over its socket. Zope's WatchedFileHandler
sees by itself that its file was renamed, and must get no signal: of SIGUSR1 or SIGUSR2
runwsgi dies. What nobody opens anew is copied and cut, by which lines can be lost.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath

from zmount.render.log_files import LogFile, log_files
from zmount.render.text import Text
from zmount.topology.hosts import Host
from zmount.topology.processes import Process
from zmount.topology.topology import Topology
from zmount.topology.zeo import ZeoServer

_COPY = ("copytruncate",)
# Debian's logrotate.conf says create, of which a new file would be no proof that its writer
# has it; Red Hat's says dateext, and zmount rotate-logs counts
_RULE = tuple(
    f"    {word}"
    for word in "weekly missingok notifempty compress delaycompress nocreate nodateext".split()
)
_ASKS_S = 30  # for a zdaemon that does not answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """How many old files are kept, and how the writer gets a new one."""

    keep: int
    how: tuple[str, ...] = ()


def logrotate_conf(topology: Topology, host: Host) -> str:
    """Return the text of HOST's logrotate.conf, to be linked into /etc/logrotate.d."""
    return str(logrotate_conf_text(topology, host))


def logrotate_conf_text(topology: Topology, host: Host) -> Text:
    """The same as :class:`Text`."""
    rules: dict[_Rule, list[PurePosixPath]] = {}
    for file in log_files(topology, host):
        if file.reopening != "itself":
            rules.setdefault(_Rule(keep=file.keep, how=_how(file)), []).append(file.path)
    text = Text()
    for rule, paths in rules.items():
        if text.lines:
            text.add("")
        text.add(*(f'"{path}"' for path in paths), "{", *_RULE)
        text.add(f"    rotate {rule.keep}", *(f"    {line}" for line in rule.how), "}")
    return text


def _how(file: LogFile) -> tuple[str, ...]:
    """Return the lines that say how the writer of FILE gets a new one."""
    process = file.process
    if file.reopening == "notices":
        return ()
    if file.reopening == "zdaemon" and process is not None:
        return _asked(process)
    if file.reopening != "signal" or process is None or not isinstance(process.noun, ZeoServer):
        return _COPY
    if process.noun.options.text("read-only").lower() in ("true", "on", "yes"):
        return _COPY  # it writes no pid file
    return _signalled(file, process.noun)


def _asked(process: Process) -> tuple[str, ...]:
    """Return how zdaemon, which catches the output of PROCESS, is asked once for all its files."""
    zdaemon = _quoted(process.host.venv / "bin" / "zdaemon")
    socket, conf = _quoted(process.zdaemon_socket), _quoted(process.zdaemon_conf)
    ask = f"timeout {_ASKS_S} {zdaemon} -C {conf} reopen_transcript >/dev/null"
    return ("sharedscripts", "postrotate", f"    test ! -S {socket} || {ask}", "endscript")


def _signalled(file: LogFile, server: ZeoServer) -> tuple[str, ...]:
    """Return how SERVER is told to open FILE anew, until it has.

    A signal is swallowed while its main thread writes a line (see operations/log_reopening.py).
    Before it has a handler (SigCgt, the bit of signal 12) it would die of one, and so would
    another process that has got its pid.
    """
    pid, conf, log = _quoted(server.pid_filename), _quoted(server.conf), _quoted(file.path)
    script = (
        f"pid=$(cat {pid} 2>/dev/null) || exit 0",
        "for second in 1 2 3 4 5 6 7 8 9 10; do",
        f"    grep -qaF {conf} /proc/$pid/cmdline 2>/dev/null || exit 0",
        "    ! grep -q '^SigCgt:.*[89a-f]..$' /proc/$pid/status || kill -USR2 $pid",
        "    sleep 1",
        f"    test ! -e {log} || exit 0",
        "done",
        f"echo pid $pid does not open {log} anew >&2; exit 1",
    )
    return ("postrotate", *(f"    {line}" for line in script), "endscript")


def _quoted(path: PurePosixPath) -> str:
    return shlex.quote(str(path))
