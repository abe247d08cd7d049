"""logrotate rules for the logs that do not rotate themselves.

ZEO opens its log anew on SIGUSR2. Zope's WatchedFileHandler sees by itself that
its file was renamed, and must get no signal: of SIGUSR1 or SIGUSR2 runwsgi dies.
zdaemon holds its files open for ever, so these are copied and cut.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from zmount.render.log_handlers import access_handler, event_handler
from zmount.render.text import Text
from zmount.render.zeo_conf import OLD_FILES
from zmount.topology.hosts import Host
from zmount.topology.instances import Replica
from zmount.topology.processes import Process, processes
from zmount.topology.topology import Topology
from zmount.topology.zeo import ZeoServer

_COPY = ("copytruncate",)
_RULE = ("    weekly", "    missingok", "    notifempty", "    compress", "    delaycompress")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """How many old files are kept, and how the writer gets a new one."""

    keep: str = OLD_FILES
    how: tuple[str, ...] = ()


def logrotate_conf(topology: Topology, host: Host) -> str:
    """Return the text of HOST's logrotate.conf, to be linked into /etc/logrotate.d."""
    return str(logrotate_conf_text(topology, host))


def logrotate_conf_text(topology: Topology, host: Host) -> Text:
    """The same as :class:`Text`."""
    rules: dict[_Rule, list[PurePosixPath]] = {}
    for process in processes(topology, host):
        for path, rule in _logs(topology, process):
            rules.setdefault(rule, []).append(path)
    text = Text()
    for rule, paths in rules.items():
        if text.lines:
            text.add("")
        text.add(*(f'"{path}"' for path in paths), "{", *_RULE)
        text.add(f"    rotate {rule.keep}", *(f"    {line}" for line in rule.how), "}")
    return text


def _logs(topology: Topology, process: Process) -> Iterator[tuple[PurePosixPath, _Rule]]:
    noun = process.noun
    yield from _zeo(noun) if isinstance(noun, ZeoServer) else _zope(noun)
    if topology.manager == "zdaemon":
        yield process.transcript, _Rule(how=_COPY)
        yield process.zdaemon_log, _Rule(how=_COPY)
    elif topology.manager == "systemd" and "transcript" in process.runner:
        yield process.transcript, _Rule(how=_COPY)


def _zeo(server: ZeoServer) -> Iterator[tuple[PurePosixPath, _Rule]]:
    pid = shlex.quote(str(server.pid_filename))
    how: tuple[str, ...] = (
        "postrotate",
        f"    test ! -f {pid} || kill -USR2 $(cat {pid})",
        "endscript",
    )
    if server.options.text("read-only").lower() in ("true", "on", "yes"):
        how = _COPY  # it writes no pid file
    log = server.log
    if server.eventlog is None:
        if log.path is not None and not log.rotates_itself:
            yield log.path, _Rule(keep=log.options.text("old-files", OLD_FILES), how=how)
        return
    for section in server.eventlog.walk():
        path = str(section.get("path") or "STDERR")
        rotates = section.get("max-size") is not None or section.get("when") is not None
        if section.type == "logfile" and path not in ("STDOUT", "STDERR") and not rotates:
            yield server.directory / path, _Rule(how=how)


def _zope(replica: Replica) -> Iterator[tuple[PurePosixPath, _Rule]]:
    for log, handler in (
        (replica.log, event_handler(replica)),
        (replica.access_log, access_handler(replica)),
    ):
        if log.path is not None and handler is not None and not handler.rotates:
            keep = log.options.text("old-files", OLD_FILES)
            yield log.path, _Rule(keep=keep, how=() if handler.reopens else _COPY)
