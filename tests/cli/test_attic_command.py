"""``zmount attic`` and ``zmount remount``: what they take, and whom they ask."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from deployments import Deployment
from OFS.Folder import Folder
from zope_files import in_file

from zmount.agent.attic_steps import move_to_attic
from zmount.operations.prepare import prepare

CONF = """
<instance pub>
  http-address {port}
</instance>
"""


@pytest.fixture
def deployment(deploy: Callable[[str], Deployment]) -> Deployment:
    """An instance that is down and has two objects in its attic, of one name."""
    made = deploy(CONF)
    prepare(made.topology, made.host)

    def move(app: Any) -> None:
        for title in ("first", "second"):
            app._setObject("page", Folder("page"))
            app.page.title = title
            move_to_attic(app, set(), path="/page", reason="for the test")

    data_fs = made.topology.instance("pub").root.storage.data_fs
    assert data_fs is not None
    in_file(Path(data_fs), move)
    return made


def attic(deployment: Deployment) -> list[dict[str, Any]]:
    done = deployment.zmount("attic", "--json")
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


def on_a_terminal(deployment: Deployment, answer: str, *arguments: str) -> int:
    """Run zmount with a terminal for its standard input, where somebody types ANSWER."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "zmount", "-f", str(deployment.conf), *arguments]
    try:
        child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
        os.write(ours, answer.encode() + b"\n")
        return child.wait(60)
    finally:
        os.close(theirs)
        os.close(ours)


def test_what_would_be_gone_for_good_is_asked_for(deployment: Deployment) -> None:
    first, second = attic(deployment)
    assert first["path"] == second["path"] == "/page"
    assert (first["objects"], first["reason"]) == (1, "for the test")

    assert on_a_terminal(deployment, "n", "attic", "--drop", first["id"]) == 21
    assert len(attic(deployment)) == 2
    assert on_a_terminal(deployment, "y", "attic", "--drop", first["id"]) == 0
    assert [each["id"] for each in attic(deployment)] == [second["id"]]


def test_what_else_listens_at_its_port_is_not_asked_for_an_instance_that_is_down(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Foreign(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Authorization", ""))
            self.send_response(200)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    monkeypatch.setenv("ZMOUNT_ADMINISTRATOR", "admin:of the other one")
    with ThreadingHTTPServer(("127.0.0.1", deployment.port), Foreign) as server:
        Thread(target=server.serve_forever).start()
        try:
            first = attic(deployment)[0]
            dropped = deployment.zmount("attic", "--drop", first["id"], "--yes")
        finally:
            server.shutdown()

    assert dropped.returncode == 0, dropped.stderr
    assert first["id"] not in {each["id"] for each in attic(deployment)}
    assert set(asked) <= {""}  # nobody gave it the password


def test_a_script_must_say_yes_and_which(deployment: Deployment) -> None:
    first, _ = attic(deployment)

    unsaid = deployment.zmount("attic", "--drop", first["id"])
    doubtful = deployment.zmount("attic", "--drop", "page", "--yes")

    assert unsaid.returncode == 21
    assert f"{first['id']} would be gone for good" in unsaid.stderr
    assert doubtful.returncode == 3
    assert f"page may be any of: pub {first['id']}, pub " in doubtful.stderr
    assert len(attic(deployment)) == 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("attic", "--restore", "a", "--drop", "b"), "not both"),
        (("attic", "--to", "/x"), "--to goes with --restore"),
        (("attic", "--yes"), "--yes with --drop"),
        (("remount",), "name PATHs"),
        (("remount", "pub"), "name PATHs"),
        (("remount", "--all", "/home/x"), "name PATHs"),
    ],
)
def test_words_that_do_not_go_together_are_refused(
    short_directory: Path, arguments: tuple[str, ...], why: str
) -> None:
    done = Deployment(short_directory, CONF).zmount(*arguments)
    assert done.returncode == 2
    assert why in done.stderr


@pytest.mark.parametrize("command", [("attic",), ("remount", "--all")])
def test_an_instance_that_is_none_is_refused(
    short_directory: Path, command: tuple[str, ...]
) -> None:
    done = Deployment(short_directory, CONF).zmount(*command, "pubb")
    assert done.returncode == 3
    assert "did you mean pub?" in done.stderr
