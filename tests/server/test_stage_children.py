"""kill -9 of a process that does part of a swap, while the server goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from deployments import wait_until
from stages import STAGE, Server, Stages
from test_stage_crash import content

from zmount.server.control import ControlError

BLOBS = {f"{number:04}": b"pub" for number in range(1500)}
GOOD = {"a": "pub", "b": "pub", "c": "pub"}


class Killer(threading.Thread):
    """Kills the first child of PARENT, and its children, whose command has WORD in it."""

    def __init__(self, parent: int, word: str) -> None:
        super().__init__(daemon=True)
        self.parent, self.word = parent, word
        self.has_killed = threading.Event()
        self.is_over = False
        self.start()

    def run(self) -> None:
        while not self.is_over and not self.has_killed.is_set():
            for pid in children(self.parent):
                if self.word in command(pid):
                    os.kill(pid, signal.SIGKILL)
                    self.has_killed.set()
            time.sleep(0.001)

    def __enter__(self) -> Killer:
        return self

    def __exit__(self, *error: object) -> None:
        self.is_over = True
        self.join()


def children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def command(pid: int) -> list[str]:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return []


@pytest.fixture
def server(stages: Stages) -> Server:
    stages.fill(blobs=BLOBS)
    server = stages.server()
    stages.client(server).write({"a": "stage"})
    return server


def must_be_refused(server: Server, word: str, **more: Any) -> str:
    """Let a swap fail by the death of the child WORD; return what it is refused with."""
    assert server.process is not None
    before = {path.name for path in server.generations.iterdir()} | {"blobs"}
    with Killer(server.process.pid, word) as killer, pytest.raises(ControlError) as refused:
        server.swap(**more)
    assert killer.has_killed.is_set()
    assert refused.value.kind == "SwapRefused" and "\n" not in str(refused.value)
    assert {path.name for path in server.generations.iterdir()} <= before
    return str(refused.value)


def must_go_on(server: Server, stages: Stages) -> None:
    """The old content is served, and the next swap works, with all blobs."""
    client = stages.client(server)
    assert client.read() == {**GOOD, "a": "stage"}
    client.write({"b": "stage"})
    server.swap(client)
    assert client.read() == GOOD
    assert client.read_blobs() == BLOBS
    assert "Traceback" not in server.log


def test_who_links_the_blobs_is_killed(server: Server, stages: Stages):
    said = must_be_refused(server, "link")
    assert said == "the blobs cannot be linked: the process that did it was ended by SIGKILL"
    assert not (server.generations / "blobs.new").exists()
    must_go_on(server, stages)


def test_who_copies_is_killed(server: Server, stages: Stages):
    said = must_be_refused(server, str(stages.directory / "pub" / "Data.fs"), mode="copy")
    assert "it cannot be copied" in said and "9" in said
    must_go_on(server, stages)


def test_who_links_what_is_missing_is_killed_and_the_stage_is_as_broken_as_before(
    server: Server, stages: Stages
):
    server.swap()
    server.stop()
    (server.generations / "gen-000001" / "meta.json").write_text("")
    server.start()
    must_be_refused(server, "link_missing")
    assert server.call("facts")["broken"]
    client = None
    server.swap()
    client = stages.client(server)
    assert client.read() == GOOD and client.read_blobs() == BLOBS


def test_who_cleans_up_is_killed_and_the_next_time_does_it(server: Server, stages: Stages):
    server.swap()
    pub = stages.client(server, "pub")
    with pub.root() as root:
        root["blobs"].clear()
    pub.db.pack()
    pool = server.generations / "blobs"
    assert server.process is not None
    with Killer(server.process.pid, "list_unlinked") as killer:
        server.swap()
        wait_until(killer.has_killed.is_set, "it is killed")
    assert len(list(pool.rglob("*.blob"))) == len(BLOBS)
    client = stages.client(server)
    assert client.read() == GOOD and client.read_blobs() == {}
    server.swap(client)
    wait_until((server.generations / "gen-000003" / "dropped-blobs").exists, "they are listed")
    with Killer(server.process.pid, "drop") as killer:
        server.swap(client)
        wait_until(killer.has_killed.is_set, "it is killed")
    server.swap(client)
    wait_until(lambda: not list(pool.rglob("*.blob")), "they are gone")


# without a server


def offline(stages: Stages, **request: Any) -> subprocess.Popen[str]:
    section = STAGE.format(directory=stages.directory, source="", more="")
    child = subprocess.Popen(
        [sys.executable, "-m", "zmount.server.offline"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    json.dump({"conf": f"%import zmount.server\n{section}", "request": request}, child.stdin)
    child.stdin.close()
    child.stdin = None
    return child


def test_who_swaps_the_files_is_killed_and_nobody_goes_on_after_it(server: Server, stages: Stages):
    server.stop()
    child = offline(stages, call="swap")
    beside = server.generations / "blobs.new"
    wait_until(beside.exists, "it links")
    linking = children(child.pid)
    child.kill()
    child.communicate()
    wait_until(lambda: not any(map(command, linking)), "who links ends with it")
    assert content(stages)[0] == {**GOOD, "a": "stage"}
    assert not beside.exists()
    server.start()
    must_go_on(server, stages)


def test_who_links_for_the_one_who_swaps_the_files_is_killed(server: Server, stages: Stages):
    server.stop()
    child = offline(stages, call="swap")
    with Killer(child.pid, "link") as killer:
        answers, said = child.communicate(timeout=30)
    assert killer.has_killed.is_set() and said == ""
    last = json.loads(answers.splitlines()[-1])
    assert last["kind"] == "SwapRefused" and "SIGKILL" in last["error"]
    server.start()
    must_go_on(server, stages)
