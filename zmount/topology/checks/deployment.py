"""Rules about the deployment as a whole: hosts, logs, who runs the processes."""

from __future__ import annotations

from collections.abc import Iterator

from zmount.topology.checks.claims import noun_place
from zmount.topology.findings import Finding, error, warning
from zmount.topology.instances import Replica
from zmount.topology.logs import Log
from zmount.topology.places import Place
from zmount.topology.processes import Process, processes
from zmount.topology.topology import Topology


def nothing_described(topology: Topology) -> Iterator[Finding]:
    """Yield that there is nothing to run."""
    if not topology.zeo_servers and not topology.instances:
        yield error(
            "nothing-described",
            topology.place,
            "the file describes no ZEO server and no instance",
            hint="<zeo NAME> and <instance NAME>; see configs/ for examples",
        )


def hosts_without_processes(topology: Topology) -> Iterator[Finding]:
    """Yield hosts on which nothing would run."""
    used = {process.host.name for process in processes(topology)}
    if not used:
        return
    for host in topology.hosts:
        if host.name not in used:
            yield warning(
                "host-unused",
                host.place,
                f"host {host.name}: nothing runs on it",
                hint=f"host {host.name} in a <zeo> or <instance>, or leave it out",
            )


def directories_that_depend_on_the_file(topology: Topology) -> Iterator[Finding]:
    """Yield hosts whose directory is wherever the file lies on one of them."""
    if len(topology.hosts) < 2 or "directory" in topology.place.keys:
        return
    for host in topology.hosts:
        if "directory" not in host.place.keys:
            yield warning(
                "directory-not-said",
                host.place,
                f"host {host.name}: its directory is where this file lies, {host.directory}",
                why="on another host, or read from another place, the file means something else",
                hint="directory /PATH, in <host> or at the top",
            )


def processes_that_run_as_root(topology: Topology) -> Iterator[Finding]:
    """Yield processes that a manager started at boot would run as root."""
    for process in processes(topology):
        if process.user == "root" or (topology.manager != "zdaemon" and not process.user):
            yield warning(
                "runs-as-root",
                (noun_place(process) if process.user else topology.place).of("user"),
                f"{process.name} would run as root"
                if process.user
                else f"{topology.manager} would run the processes as root",
                why="who breaks into a Zope would own the machine",
                hint="user NAME",
            )


def rotation_of_logs(topology: Topology) -> Iterator[Finding]:
    """Yield logs that would be rotated by two rules at once."""
    for process in processes(topology):
        for log in _logs(process):
            if "max-size" in log.options and "when" in log.options:
                yield error(
                    "log-size-and-time",
                    _place(log, process).of("when"),
                    f"{process.name}: its log has max-size and when",
                    why="a log is rotated by its size or by the time, not both",
                    hint="leave one of them out",
                )
            elif "interval" in log.options and "when" not in log.options:
                yield error(
                    "log-interval",
                    _place(log, process).of("interval"),
                    f"{process.name}: its log has an interval of nothing",
                    hint="when D, or another unit",
                )


def _logs(process: Process) -> tuple[Log, ...]:
    if isinstance(process.noun, Replica):
        return process.log, process.noun.access_log
    return (process.log,)


def _place(log: Log, process: Process) -> Place:
    return log.place if log.place.file else noun_place(process)


def start_tests_with_quotes(topology: Topology) -> Iterator[Finding]:
    """Yield test programs that zdaemon would cut in the wrong places."""
    for process in processes(topology):
        program = process.runner.text("start-test-program")
        if "'" in program or '"' in program:
            yield error(
                "start-test-quotes",
                noun_place(process),
                f"{process.name}: start-test-program {program}",
                why="it is split at blanks, whatever quotes are in it",
                hint="a script of one word",
            )


def paths_that_paste_misreads(topology: Topology) -> Iterator[Finding]:
    """Yield directories in which paste.deploy cannot open a zope.ini."""
    for process in processes(topology):
        if not process.is_zeo and any(mark in str(process.directory) for mark in "%#"):
            yield error(
                "path-with-mark",
                noun_place(process).of("directory"),
                f"{process.name}: {process.directory} has a % or # in it",
                why="paste.deploy cannot open a zope.ini there",
                hint="another directory",
            )


RULES = (
    nothing_described,
    hosts_without_processes,
    directories_that_depend_on_the_file,
    processes_that_run_as_root,
    rotation_of_logs,
    start_tests_with_quotes,
    paths_that_paste_misreads,
)
