"""Which log files a process writes, how their lines look, and how each gets a new file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

from zmount.render.log_handlers import Handler, access_handler, event_handler
from zmount.render.zeo_conf import OLD_FILES
from zmount.topology.hosts import Host
from zmount.topology.instances import Replica
from zmount.topology.logs import ACCESS_FORMAT, DATE_FORMAT, EVENT_FORMAT, JOB_FORMAT, Log
from zmount.topology.processes import Process, processes
from zmount.topology.sections import RawSection
from zmount.topology.topology import Topology
from zmount.topology.zeo import ZeoServer

# ZConfig's own (components/logger/handlers.xml), which ZEO and zdaemon write
ZCONFIG_FORMAT = "------\n%(asctime)s %(levelname)s %(name)s %(message)s"
ZCONFIG_DATE_FORMAT = "%Y-%m-%dT%H:%M:%S"
SUPERVISOR_FORMAT = "%(asctime)s %(levelname)s %(message)s"
SUPERVISOR_DATE_FORMAT = "%Y-%m-%d %H:%M:%S"

Kind = Literal["event", "access", "output", "manager", "job"]
Reopening = Literal[
    "signal",  # ZEO opens it anew on SIGUSR2
    "notices",  # Zope's handler sees that it was renamed
    "zdaemon",  # zdaemon's manager opens it anew when it is asked over its socket
    "itself",  # whoever writes it renames it, too
    "never",  # it is held open as long as its process runs
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFile:
    """A log file of PROCESS; of a scheduled JOB, or of supervisord, the manager of all, then None.

    ``kind`` is what is in it: ``output`` is what the process printed, ``manager`` what its
    manager notes, ``job`` what the runs of a job printed. ``keep`` is how many rotated files
    are kept. ``format_`` and ``date_format`` are those of Python's logging; "" where the
    lines have no times.
    """

    process: Process | None
    kind: Kind
    path: PurePosixPath
    reopening: Reopening
    keep: int = int(OLD_FILES)
    format_: str = ""
    date_format: str = ""
    job: str = ""

    @property
    def name(self) -> str:
        """What its lines are told under: the process' name, and what it is besides its log."""
        if self.job:
            return f"{self.job} job"
        if self.process is None:
            return "supervisord"
        own = {"access": " access", "output": " output", "manager": " zdaemon"}
        return self.process.name + own.get(self.kind, "")


def log_files(topology: Topology, host: Host) -> tuple[LogFile, ...]:
    """Return the log files of the processes of HOST, what keeps them alive, and of its jobs."""
    found = [file for process in processes(topology, host) for file in _files(topology, process)]
    if topology.manager == "supervisor":
        found.append(
            LogFile(
                process=None,
                kind="manager",
                path=host.directory / "log" / "supervisord.log",
                reopening="itself",
                format_=SUPERVISOR_FORMAT,
                date_format=SUPERVISOR_DATE_FORMAT,
            )
        )
    found.extend(_jobs(topology, host))
    return tuple(found)


def _jobs(topology: Topology, host: Host) -> Iterator[LogFile]:
    for schedule in topology.schedules:
        if schedule.is_on(host):
            yield LogFile(
                process=None,
                job=schedule.name,
                kind="job",
                path=schedule.log(host),
                reopening="itself",  # before a run
                format_=JOB_FORMAT,
                date_format=DATE_FORMAT,
            )


def _files(topology: Topology, process: Process) -> Iterator[LogFile]:
    noun = process.noun
    own = list(_zeo(process, noun) if isinstance(noun, ZeoServer) else _zope(process, noun))
    yield from own
    # a handler that writes to standard error is formatted, too
    said = next((file for file in own if file.kind == "event"), None)
    keeps: dict[str, Reopening] = {"zdaemon": "zdaemon", "supervisor": "itself", "systemd": "never"}
    if topology.manager != "systemd" or "transcript" in process.runner:
        yield LogFile(
            process=process,
            kind="output",
            path=process.transcript,
            reopening=keeps[topology.manager],
            format_=said.format_ if said is not None else EVENT_FORMAT,
            date_format=said.date_format if said is not None else DATE_FORMAT,
        )
    if topology.manager == "zdaemon":
        yield LogFile(
            process=process,
            kind="manager",
            path=process.zdaemon_log,
            reopening="zdaemon",
            format_=ZCONFIG_FORMAT,
            date_format=ZCONFIG_DATE_FORMAT,
        )


def _zeo(process: Process, server: ZeoServer) -> Iterator[LogFile]:
    log = server.log
    if server.eventlog is not None:
        for section in server.eventlog.walk():
            if section.type == "logfile":
                yield from _raw_zeo(process, server, section)
    elif log.path is not None:
        yield LogFile(
            process=process,
            kind="event",
            path=log.path,
            reopening="itself" if log.rotates_itself else "signal",
            keep=_keep(log),
            format_=_plain(log.options.text("format", ZCONFIG_FORMAT)),
            date_format=log.options.text("date-format", ZCONFIG_DATE_FORMAT),
        )


def _raw_zeo(process: Process, server: ZeoServer, section: RawSection) -> Iterator[LogFile]:
    path = str(section.get("path") or "STDERR")
    if path in ("STDOUT", "STDERR"):
        return
    rotates = section.get("max-size") is not None or section.get("when") is not None
    is_classic = str(section.get("style") or "classic") == "classic"
    yield LogFile(
        process=process,
        kind="event",
        path=server.directory / path,
        reopening="itself" if rotates else "signal",
        format_=_plain(str(section.get("format") or ZCONFIG_FORMAT)) if is_classic else "",
        date_format=str(section.get("dateformat") or ZCONFIG_DATE_FORMAT),
    )


def _zope(process: Process, replica: Replica) -> Iterator[LogFile]:
    event, access = replica.log, replica.access_log
    if event.path is not None:
        yield _zope_file(process, "event", event, event_handler(replica))
    if access.path is not None and (handler := access_handler(replica)) is not None:
        yield _zope_file(process, "access", access, handler)


def _zope_file(process: Process, kind: Kind, log: Log, handler: Handler) -> LogFile:
    assert log.path is not None
    how: Reopening = "notices" if handler.reopens else "itself" if handler.rotates else "never"
    return LogFile(
        process=process,
        kind=kind,
        path=log.path,
        reopening=how,
        keep=_keep(log),
        format_=_plain(
            log.options.text("format", EVENT_FORMAT if kind == "event" else ACCESS_FORMAT)
        ),
        date_format=log.options.text("date-format", DATE_FORMAT),
    )


def _keep(log: Log) -> int:
    return int(log.options.text("old-files", OLD_FILES))


def _plain(format_: str) -> str:
    return format_.replace("\\n", "\n").replace("\\t", "\t")
