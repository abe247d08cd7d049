"""A client of a Zope speaks HTTP to whatever address the instance has."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from waitress.server import create_server

from zmount.effects.zope_http import ZopeClient, one_browser
from zmount.errors import AccessRefused, ProcessFailed
from zmount.topology.addresses import Address


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Tell who asks, and count his visits by a cookie; /gone is not there."""
    if environ["PATH_INFO"] == "/gone":
        start_response("404 Not Found", [])
        return [b""]
    if environ["PATH_INFO"] == "/@@closed":
        start_response("401 Unauthorized", [])
        return [b""]
    visits = int(environ.get("HTTP_COOKIE", "visits=0").partition("=")[2]) + 1
    start_response("200 OK", [("Set-Cookie", f"visits={visits}; Path=/")])
    who = environ.get("HTTP_AUTHORIZATION", "")
    return [json.dumps({"visits": visits, "who": who}).encode()]


@pytest.fixture
def address(short_directory: Path) -> Iterator[Address]:
    """A unix socket where waitress, Zope's own server, listens."""
    path = short_directory / "http.sock"
    server = create_server(application, unix_socket=str(path))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield Address(socket=PurePosixPath(path))
    finally:
        server.trigger.pull_trigger(server.close)  # in the thread of its loop
        thread.join(10)


def test_an_instance_on_a_unix_socket_is_asked_with_password_and_cookies(address: Address) -> None:
    cookies = one_browser()

    answers = [
        ZopeClient(address, user="admin", password="x", cookies=cookies).ask_agent("get")
        for _ in range(3)
    ]

    assert [each["visits"] for each in answers] == [1, 2, 3]
    assert answers[0]["who"].startswith("Basic ")


def test_what_goes_wrong_on_a_unix_socket_names_it(address: Address) -> None:
    client = ZopeClient(address)
    with pytest.raises(ProcessFailed, match=f"http://{address.socket}/gone answered 404"):
        client.get("/gone")
    with pytest.raises(AccessRefused, match=f"{address.socket}/@@closed does not let"):
        client.ask_agent("get", page="closed")
    nobody = Address(socket=PurePosixPath(f"{address.socket}.gone"))
    with pytest.raises(ProcessFailed, match=f"{nobody.socket}/ did not answer"):
        ZopeClient(nobody).get("/")
