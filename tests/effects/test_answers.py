"""Real servers of every kind, asked whether they answer."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path, PurePosixPath

import pytest
from deployments import ZEO_ONLY, Deployment, free_port, wait_until

from zmount.effects.answers import Answer, ask_http, ask_zeo
from zmount.effects.zdaemon import Zdaemon
from zmount.topology.addresses import Address
from zmount.topology.options import Secret
from zmount.topology.zeo import Tls

ZEO_WITH_TLS = """
<zeo zeo>
  address {port}
  <ssl>
    certificate $certificates/server.pem
    key $certificates/server.key
    authenticate $certificates/client.pem
  </ssl>
</zeo>
<storage content/>
"""


class NotFound(BaseHTTPRequestHandler):
    """Finds nothing, and says so."""

    def do_HEAD(self) -> None:
        self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def http_server(address: Address) -> Iterator[None]:
    """An HTTP server at ADDRESS that answers 404 to everything."""
    if address.socket is None:
        server = HTTPServer((address.host, address.port), NotFound)
    else:
        server = UnixHTTPServer(str(address.socket))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class UnixHTTPServer(HTTPServer):
    """Listens on a unix socket."""

    address_family = socket.AF_UNIX

    def __init__(self, path: str) -> None:
        super().__init__(path, NotFound)  # type: ignore[arg-type]

    def server_bind(self) -> None:
        self.socket.bind(self.server_address)

    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        return self.socket.accept()[0], ("unix", 0)


def start_zeo(deployment: Deployment) -> Address:
    process = deployment.process("zeo")
    Zdaemon().start(process)
    return process.address


def soon(ask: Callable[[], Answer]) -> Answer:
    wait_until(lambda: ask().is_answering, "the ZEO server answers")
    return ask()


def test_a_zeo_server_names_its_storages_and_counts_their_clients(
    deploy: Callable[[str], Deployment],
) -> None:
    address = start_zeo(deploy(ZEO_ONLY))

    answer = soon(lambda: ask_zeo(address))

    assert answer.clients == {"content": 0}


def test_an_http_server_is_no_zeo_server(short_directory: Path) -> None:
    address = Address(socket=PurePosixPath(short_directory / "http"))
    with http_server(address):
        answer = ask_zeo(address, timeout_s=0.3)

    assert not answer.is_answering


def test_a_zeo_server_is_no_http_server(deploy: Callable[[str], Deployment]) -> None:
    address = start_zeo(deploy(ZEO_ONLY))
    soon(lambda: ask_zeo(address))

    assert not ask_http(address, timeout_s=0.3).is_answering


@pytest.mark.parametrize("ask", [ask_zeo, ask_http])
def test_where_nothing_listens_nothing_answers(ask: Callable[[Address], Answer]) -> None:
    answer = ask(Address(host="127.0.0.1", port=free_port()))

    assert answer == Answer(is_answering=False, detail="nothing listens there")


@pytest.mark.parametrize("ask", [ask_zeo, ask_http])
def test_a_server_that_hangs_does_not_answer(
    ask: Callable[..., Answer], short_directory: Path
) -> None:
    path = short_directory / "mute"
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(path))
        mute.listen()
        answer = ask(Address(socket=PurePosixPath(path)), timeout_s=0.2)

    assert answer == Answer(is_answering=False, detail="it says nothing")


def test_an_http_error_is_an_answer() -> None:
    address = Address(host="127.0.0.1", port=free_port())
    with http_server(address):
        answer = ask_http(address)

    assert (answer.is_answering, answer.detail, answer.status) == (True, "HTTP 404 Not Found", 404)
    assert answer.date == pytest.approx(time.time(), abs=5)


def test_http_is_spoken_over_unix_sockets_too(short_directory: Path) -> None:
    address = Address(socket=PurePosixPath(short_directory / "http"))
    with http_server(address):
        answer = ask_http(address)

    assert answer.is_answering


@pytest.fixture
def certificates(short_directory: Path) -> Path:
    """A directory with a server's and a client's certificate, the client's key encrypted."""
    for name in ("server", "client"):
        secret = ["-passout", "pass:open sesame"] if name == "client" else ["-nodes"]
        subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-days", "2"]
        files = ["-keyout", f"{name}.key", "-out", f"{name}.pem"]
        subprocess.run(
            ["openssl", "req", "-x509", *new, *files, *subject, *secret],
            cwd=short_directory,
            check=True,
            capture_output=True,
        )
    return short_directory


def test_a_zeo_server_with_tls_is_asked_with_the_clients_certificate(
    deploy: Callable[[str], Deployment], certificates: Path
) -> None:
    address = start_zeo(deploy(f"%define certificates {certificates}\n{ZEO_WITH_TLS}"))
    tls = Tls(
        certificate=PurePosixPath(certificates / "client.pem"),
        key=PurePosixPath(certificates / "client.key"),
        passphrase=Secret("open sesame"),
    )

    answer = soon(lambda: ask_zeo(address, tls))

    assert answer.clients == {"content": 0}


@pytest.mark.parametrize("key", ["client.key", "nonexistent.key"])
def test_a_zeo_server_that_refuses_our_certificate_answers(
    deploy: Callable[[str], Deployment], certificates: Path, key: str
) -> None:
    address = start_zeo(deploy(f"%define certificates {certificates}\n{ZEO_WITH_TLS}"))
    tls = Tls(
        certificate=PurePosixPath(certificates / "client.pem"),
        key=PurePosixPath(certificates / key),  # and no passphrase for it
    )

    answer = soon(lambda: ask_zeo(address, tls))

    assert answer.detail == "ZEO over TLS; our certificate is refused"


def test_a_zeo_server_without_tls_is_not_taken_for_one_with_it(
    deploy: Callable[[str], Deployment], certificates: Path
) -> None:
    address = start_zeo(deploy(ZEO_ONLY))
    soon(lambda: ask_zeo(address))
    tls = Tls(certificate=PurePosixPath(certificates / "client.pem"))

    assert not ask_zeo(address, tls).is_answering
