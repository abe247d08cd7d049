"""Real deployments for tests: a topology in a short directory, its files, its processes.

``conftest.py`` has the fixture ``deploy``, which stops whatever was started.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from zmount.plan.directories import directories
from zmount.render.files import generated_files
from zmount.topology.hosts import Host
from zmount.topology.load import load
from zmount.topology.processes import Process, processes
from zmount.topology.topology import Topology

ZEO_ONLY = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage content/>
"""
ZEO_AND_ZOPE = """
<zeo zeo>
  address var/zeo.sock
</zeo>
<storage content/>
<instance pub>
  http-address {port}
  <mount content>
    mount-point /content
  </mount>
</instance>
"""
ZOPE_ALONE = """
<instance pub>
  http-address {port}
</instance>
"""


def free_port() -> int:
    """Return a port of the loopback interface that is free at this moment, and so is the next.

    It is none that the kernel gives to connections, which begin at 32768: one of those could
    be taken before a server listens there. Replicas take the ports after the first.
    """
    for _ in range(200):
        port = random.SystemRandom().randrange(10_000, 32_000, 4)
        if all(_is_free(each) for each in range(port, port + 4)):
            return port
    raise OSError("no free port from 10000 to 32000")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class Deployment:
    """A deployment in DIRECTORY, described by TEXT, run by this Python's environment.

    In TEXT, ``{port}`` and ``{port2}`` stand for free ports, ``{directory}`` for DIRECTORY.
    """

    def __init__(self, directory: Path, text: str) -> None:
        self.directory = directory
        self.port, self.port2 = free_port(), free_port()
        self.conf = directory / "zmount.conf"
        self.rewrite(text)

    def rewrite(self, text: str) -> None:
        """Let the topology be TEXT from now on."""
        top = f"directory {str(self.directory).replace('$', '$$')}\n"
        if "\nvenv " not in f"\n{text}":
            top += f"venv {sys.prefix}\n"
        text = text.replace("{directory}", str(self.directory))
        text = text.replace("{port}", str(self.port)).replace("{port2}", str(self.port2))
        self.conf.write_text(top + text)

    @property
    def topology(self) -> Topology:
        """What zmount.conf says now."""
        return load(self.conf)

    @property
    def host(self) -> Host:
        """The only host, or the first."""
        return self.topology.hosts[0]

    def process(self, name: str) -> Process:
        """Return the process called NAME."""
        return {each.name: each for each in processes(self.topology)}[name]

    def write_files(self) -> None:
        """Make the directories and write the files, without any of apply's care."""
        files = generated_files(self.topology, self.host)
        paths = [file.path for file in files]
        for directory in directories(self.topology, self.host, paths):
            Path(directory.path).mkdir(mode=directory.mode, exist_ok=True)
        for file in files:
            Path(file.path).write_text(file.text)

    def zmount(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the zmount command on this deployment."""
        return subprocess.run(
            [sys.executable, "-m", "zmount", "-f", str(self.conf), *arguments],
            capture_output=True,
            text=True,
            timeout=120,
        )

    def end_all(self) -> None:
        """End every process whose command line names the directory."""
        wait_until(lambda: not list(self._kill()), "all processes are gone", timeout_s=20)

    def _kill(self) -> Iterator[int]:
        for pid, command in commands():
            if any(str(self.directory) in word for word in command) and pid != os.getpid():
                yield pid
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass


def commands() -> Iterable[tuple[int, list[str]]]:
    """Yield the pid and the command line of every process that lives."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "cmdline").read_bytes().rstrip(b"\0")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if text and state != "Z":
                yield int(entry.name), text.decode("utf-8", "replace").split("\0")


def wait_until(is_so: Callable[[], object], what: str, *, timeout_s: float = 10) -> None:
    """Wait until IS_SO, or fail saying WHAT should have become so."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.05)


def kill_manager(process: Process) -> None:
    """Kill the zdaemon of PROCESS; the process itself goes on."""
    conf = str(process.zdaemon_conf)
    found = [pid for pid, command in commands() if "-d" in command and conf in command]
    assert len(found) == 1, found
    os.kill(found[0], signal.SIGKILL)
    wait_until(lambda: found[0] not in dict(commands()), "the manager is gone")
