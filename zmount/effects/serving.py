"""Running ZEO servers for a while, where nobody runs them.

Making mount points needs the storages; at a deployment's first ``apply`` no
server runs yet. So zmount runs it, in the foreground, and ends it cleanly.
"""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import IO

from zmount.effects.answers import ask_zeo
from zmount.effects.child_process import as_user, dying_with_us, environment
from zmount.effects.local_files import why_not_readable, why_not_runnable
from zmount.effects.log_tail import last_lines
from zmount.errors import EnvironmentMissing, PrepareFailed
from zmount.topology.hosts import Host
from zmount.topology.processes import Process, processes
from zmount.topology.topology import Topology
from zmount.topology.zeo import ZeoServer

START_TIMEOUT_S = 60
STOP_TIMEOUT_S = 30

Progress = Callable[[str], None]


def is_served(server: ZeoServer, host: Host) -> bool:
    """True if a ZEO server answers at the address that HOST's clients of SERVER use."""
    return ask_zeo(server.address_from(host), server.tls).is_answering


@contextmanager
def served(
    topology: Topology, host: Host, servers: Iterable[ZeoServer], progress: Progress
) -> Iterator[None]:
    """Run those of SERVERS that do not answer, until the block ends.

    :raises PrepareFailed: one is on another host, or does not start
    :raises EnvironmentMissing: its program or zeo.conf is not there
    """
    with ExitStack() as running:
        for server in servers:
            if not is_served(server, host):
                _must_be_here(server, host)
                progress(f"{server.name}: running the ZEO server meanwhile")
                running.enter_context(_run(topology, server))
        yield


def _must_be_here(server: ZeoServer, host: Host) -> None:
    if server.host.name == host.name:
        return
    raise PrepareFailed(
        f"the ZEO server {server.name} on host {server.host.name} does not answer at "
        f"{server.address_from(host)}: mount points cannot be made without it",
        hint=f"zmount start {server.name} on host {server.host.name}, then zmount apply again",
    )


@contextmanager
def _run(topology: Topology, server: ZeoServer) -> Iterator[None]:
    process = next(each for each in processes(topology, server.host) if each.noun == server)
    if problem := why_not_runnable(process.program[0]) or why_not_readable(server.conf):
        raise EnvironmentMissing(f"{server.name}: {problem}", hint="zmount apply writes zeo.conf")
    python = str(server.venv / "bin" / "python")
    with tempfile.TemporaryFile() as printed:
        child = _started(process, python, printed)
        try:
            _wait_until_it_answers(server, child, printed)
            yield
        finally:
            _end(child)


def _started(process: Process, python: str, printed: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            dying_with_us(python, process.program),
            env=environment(process),
            cwd=process.directory,
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=subprocess.STDOUT,
            **as_user(process.user),
        )
    except OSError as why:
        raise EnvironmentMissing(
            f"{process.name}: {python} cannot be run"
            + (f" as user {process.user}" if process.user else "")
            + f": {why.strerror}",
            hint="make the virtual environment where that user can read it",
        ) from None


def _wait_until_it_answers(
    server: ZeoServer, child: subprocess.Popen[bytes], printed: IO[bytes]
) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not is_served(server, server.host):
        if child.poll() is not None:
            printed.seek(0)
            lines = last_lines(printed.read().decode("utf-8", "replace"), 3)
            raise PrepareFailed(
                f"the ZEO server {server.name} does not start: " + " | ".join(lines),
                hint=f"its log is {server.log.path}",
            )
        if time.monotonic() > deadline:
            raise PrepareFailed(
                f"the ZEO server {server.name} does not answer at {server.address} "
                f"within {START_TIMEOUT_S} s",
                hint=f"its log is {server.log.path}",
            )
        time.sleep(0.02)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End CHILD as a process manager would, so that it saves its indexes."""
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
