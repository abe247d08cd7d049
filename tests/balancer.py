"""A load balancer as small as can be: it asks for the liveness page, and tries nothing twice."""

from __future__ import annotations

import http.client
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PROBE_S = 0.1


class Balancer(ThreadingHTTPServer):
    """Hands requests on to those of PORTS whose /@@zmount-alive says 200, in turn."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, ports: Sequence[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ports = ports
        self.ready: set[int] = set()
        self.least_ready = len(ports)
        self.turns = itertools.count()
        self.ends = threading.Event()

    @property
    def port(self) -> int:
        """Where visitors come."""
        return int(self.server_address[1])

    def probe(self) -> None:
        """Look who takes visitors, until the end."""
        while not self.ends.wait(PROBE_S):
            for port in self.ports:
                (self.ready.add if _is_ready(port) else self.ready.discard)(port)
            self.least_ready = min(self.least_ready, len(self.ready))

    def chosen(self) -> int | None:
        """Return the port whose turn it is."""
        ready = sorted(self.ready)
        return ready[next(self.turns) % len(ready)] if ready else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        """Hand the request on; what goes wrong is 502."""
        server = self.server
        assert isinstance(server, Balancer)
        port = server.chosen()
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length) if length else None
        try:
            if port is None:
                raise OSError("nobody is ready")
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request(self.command, self.path, content, dict(self.headers))
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as why:
            self.send_error(502, f"{port}: {type(why).__name__} {why}")
            return
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("X-Replica", str(port))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def _is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/@@zmount-alive")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def balancing(*ports: int) -> Iterator[Balancer]:
    """Run a balancer before PORTS; it is ready when all of them are."""
    balancer = Balancer(ports)
    threads = [
        threading.Thread(target=work, daemon=True)
        for work in (balancer.serve_forever, balancer.probe)
    ]
    for thread in threads:
        thread.start()
    try:
        deadline = time.monotonic() + 20
        while len(balancer.ready) < len(ports):
            assert time.monotonic() < deadline, "the replicas do not get ready"
            time.sleep(0.05)
        balancer.least_ready = len(ports)
        yield balancer
    finally:
        balancer.ends.set()
        balancer.shutdown()
        balancer.server_close()


class Visitors:
    """Threads that ask for PATHS at PORT, one after the other, as fast as they are answered."""

    def __init__(self, port: int, paths: Sequence[tuple[str, str]]) -> None:
        self.port, self.paths = port, paths
        self.answers: list[tuple[int, str, float]] = []
        self._ends = threading.Event()
        self._threads = [threading.Thread(target=self._visit, args=(path,)) for path in paths]

    def __enter__(self) -> Visitors:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        for thread in self._threads:
            thread.join(60)

    @property
    def failed(self) -> list[tuple[int, str, float]]:
        """What was answered with anything but 200."""
        return [answer for answer in self.answers if answer[0] != 200]

    def _visit(self, what: tuple[str, str]) -> None:
        method, path = what
        while not self._ends.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
            try:
                content = b"a=1" if method == "POST" else None
                connection.request(method, path, content)
                answer = connection.getresponse()
                text = answer.read().decode(errors="replace")
                who = answer.getheader("X-Replica") or answer.reason or text
                self.answers.append((answer.status, who, time.monotonic()))
            except (OSError, http.client.HTTPException) as why:
                self.answers.append((0, repr(why), time.monotonic()))
            finally:
                connection.close()
