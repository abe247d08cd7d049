"""Visitors and administrators of a real Zope, and requests that never end."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, urlencode

from deployments import Deployment, wait_until

from zmount.agent.requests import FILE_NAME, requests_in

LOOP = "while 1:\n    pass\n"  # of a Python script
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Answer(NamedTuple):
    """What somebody got."""

    status: int
    headers: HTTPMessage
    text: str


def ask(
    port: int,
    path: str,
    *,
    method: str = "GET",
    body: str = "",
    headers: dict[str, str] | None = None,
) -> Answer:
    """Return what a visitor gets at PATH."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, quote(path), body=body or None, headers=headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read().decode())
    finally:
        connection.close()


def login(user: str = "admin", password: str = "a secret") -> dict[str, str]:
    """Return the header of somebody who says who he is."""
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {token}"}


def manage(port: int, path: str, **fields: str) -> Answer:
    """Send a form to PATH as the administrator; it must be taken."""
    answer = ask(port, path, method="POST", body=urlencode(fields), headers={**FORM, **login()})
    assert answer.status in (200, 302), (path, answer.status, answer.text[:500])
    return answer


def add_page(port: int, folder: str, name: str, text: str) -> None:
    """Add a DTML method to FOLDER."""
    manage(port, f"{folder}/manage_addDTMLMethod", id=name, file=text)


def add_script(port: int, folder: str, name: str, body: str) -> None:
    """Add a Python script to FOLDER."""
    manage(port, f"{folder}/manage_addProduct/PythonScripts/manage_addPythonScript", id=name)
    manage(port, f"{folder}/{name}/ZPythonScriptHTML_editAction", title="", params="", body=body)


@contextmanager
def spinning(deployment: Deployment, name: str, port: int, paths: list[str]) -> Iterator[None]:
    """Ask the process NAME for PATHS, whose requests never end, until the block does."""
    process = deployment.process(name)
    file = Path(process.directory / "var" / FILE_NAME)
    sockets = []
    try:
        for path in paths:
            visitor = socket.create_connection(("127.0.0.1", port), timeout=5)
            visitor.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            sockets.append(visitor)
        pid = int(Path(process.directory / "var" / "Z4.pid").read_text())
        wait_until(lambda: len(requests_in(file, pid) or ()) == len(paths), "its threads are busy")
        yield
    finally:
        for visitor in sockets:
            visitor.close()
