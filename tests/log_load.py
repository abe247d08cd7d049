"""Servers that write numbered lines all the time, from several threads, for tests of their logs."""

from __future__ import annotations

import gzip
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

from deployments import Deployment, wait_until

CONF = """
<runner>
  stop-timeout 5
</runner>
<zeo zeo>
  address var/zeo.sock
  <environment>
    PYTHONPATH {directory}/load
  </environment>
</zeo>
<storage content/>
<instance pub>
  http-address 127.0.0.1:{port}
  <environment>
    PYTHONPATH {directory}/load
  </environment>
</instance>
"""
# Python imports it before anything else; the servers' logging is there only when they run
SITE = """
import os, sys, threading, time

def write(name, go, stop):
    import logging
    while not os.path.exists(go):
        time.sleep(0.02)
    logger, number = logging.getLogger("load"), 0
    while not os.path.exists(stop) or number % 50:
        try:
            raise ValueError("a reason")
        except ValueError:
            logger.warning("line %s %06d", name, number, exc_info=number % 10 == 0)
        if number % 5 == 0:
            print("line %s %06d" % (name + "p", number // 5), flush=True)
        number += 1
        time.sleep(PAUSE)
    open(stop + "." + name, "w").write(str(number))

loops = []

def bursts(name, go, stop):
    # the main thread of a ZEO server, which runs its event loop, writes
    import logging
    while not os.path.exists(go):
        time.sleep(0.02)
    logger, numbers, done = logging.getLogger("load"), [0], threading.Event()
    def burst():
        for _ in range(50):
            logger.warning("line %s %06d", name, numbers[0])
            numbers[0] += 1
        done.set()
    while not os.path.exists(stop):
        done.clear()
        loops[0].call_soon_threadsafe(burst)
        done.wait(5)
        time.sleep(PAUSE)
    open(stop + "." + name, "w").write(str(numbers[0]))

words = open("/proc/self/cmdline").read().split("\\0")
server = [word for word in words if word.endswith(("bin/runzeo", "bin/runwsgi"))]
if server and "zdaemon.zdrun" not in words:
    import asyncio
    server = server[0].rpartition("/run")[2]
    here = os.path.dirname(__file__)
    writers = [("%s-%d" % (server, at), write) for at in range(3)]
    if server == "zeo":
        new_event_loop = asyncio.new_event_loop
        def noted():
            loops.append(new_event_loop())
            return loops[-1]
        asyncio.new_event_loop = noted
        writers.append(("main", bursts))
    for name, target in writers:
        arguments = (name, here + "/go", here + "/stop")
        threading.Thread(target=target, args=arguments, daemon=True).start()
"""
_LINE = re.compile(r"line (main|(?:zeo|wsgi)-\d)(p?) (\d{6})(?!\d)")
WRITERS = 7  # three threads of each, and the ZEO server's main thread
LOGS = {"zeo": "zeo/log/zeo.log", "wsgi": "pub_client/log/event.log"}
OUTPUTS = {"zeo": "zeo/log/transcript.log", "wsgi": "pub_client/log/transcript.log"}


class Load:
    """A deployment whose servers write numbered lines between :meth:`begin` and :meth:`end`."""

    def __init__(self, deployment: Deployment, *, pause_s: float) -> None:
        self.deployment = deployment
        self._load = deployment.directory / "load"
        self._load.mkdir()
        (self._load / "sitecustomize.py").write_text(SITE.replace("PAUSE", str(pause_s)))

    def begin(self) -> None:
        """Let the servers, which must run, write."""
        (self._load / "go").touch()
        wait_until(lambda: all(self._writes(each) for each in LOGS.values()), "they write")

    def end(self) -> dict[str, int]:
        """Let them stop; return how many lines each thread has written to its log."""
        (self._load / "stop").touch()
        wait_until(lambda: len(list(self._load.glob("stop.*"))) == WRITERS, "all have stopped")
        wait_until(lambda: all(each.read_text() for each in self._load.glob("stop.*")), "so many")
        return {
            each.name.removeprefix("stop."): int(each.read_text())
            for each in self._load.glob("stop.*")
        }

    def lost(self, server: str, count: dict[str, int]) -> list[str]:
        """Return the lines of SERVER, COUNT for each thread, that are not once in its files."""
        found: Counter[str] = Counter()
        for name in (LOGS[server], OUTPUTS[server]):
            path = self.deployment.directory / name
            for each in path.parent.glob(f"{path.name}*"):
                found.update("".join(match) for match in _LINE.findall(_text(each)))
        wanted = {
            f"{thread}{kind}{number:06d}"
            for thread, written in count.items()
            if thread.startswith(server) or (thread, server) == ("main", "zeo")
            for kind, lines in (("", written), ("p", written // 5 if thread != "main" else 0))
            for number in range(lines)
        }
        assert wanted
        return sorted(line for line in wanted | set(found) if found[line] != (line in wanted))

    def _writes(self, name: str) -> bool:
        path = self.deployment.directory / name
        return path.exists() and "line " in path.read_text()


def logrotate(directory: Path, conf: Path, *options: str) -> str:
    """Run logrotate on CONF and return what it said; "" is no complaint."""
    program = shutil.which("logrotate", path="/usr/sbin:/usr/bin:/sbin:/bin")
    assert program, "logrotate is needed for this test: apt install logrotate"
    done = subprocess.run(
        [program, *options, "--state", str(directory / "logrotate.state"), str(conf)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def _text(path: Path) -> str:
    raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    return raw.decode()
