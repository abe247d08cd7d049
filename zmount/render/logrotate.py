"""logrotate rules for the logs that do not rotate themselves.

ZEO opens its log anew on SIGUSR2. Zope's WatchedFileHandler sees by itself that
its file was renamed, and must get no signal: of SIGUSR1 or SIGUSR2 runwsgi dies.
zdaemon holds its files open for ever, so these are copied and cut.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import PurePosixPath

from zmount.render.log_files import LogFile, log_files
from zmount.render.text import Text
from zmount.topology.hosts import Host
from zmount.topology.topology import Topology
from zmount.topology.zeo import ZeoServer

_COPY = ("copytruncate",)
_RULE = ("    weekly", "    missingok", "    notifempty", "    compress", "    delaycompress")


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
    server = file.process.noun if file.process is not None else None
    if file.reopening == "notices":
        return ()
    if file.reopening != "signal" or not isinstance(server, ZeoServer):
        return _COPY
    if server.options.text("read-only").lower() in ("true", "on", "yes"):
        return _COPY  # it writes no pid file
    pid = shlex.quote(str(server.pid_filename))
    return ("postrotate", f"    test ! -f {pid} || kill -USR2 $(cat {pid})", "endscript")
