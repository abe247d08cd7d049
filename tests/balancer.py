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
End = tuple[str, int]


class Balancer(ThreadingHTTPServer):
    """Hands requests on, in turn, to those of ENDS (host, port) whose liveness page is 200."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, ends: Sequence[End]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ends = ends
        self.ready: set[End] = set()
        self.least_ready = len(ends)
        self.turns = itertools.count()
        self.stops = threading.Event()

    @property
    def port(self) -> int:
        """Where visitors come."""
        return int(self.server_address[1])

    def probe(self, end: End) -> None:
        """Look whether END takes visitors, until we stop."""
        while not self.stops.wait(PROBE_S):
            (self.ready.add if _is_ready(end) else self.ready.discard)(end)
            self.least_ready = min(self.least_ready, len(self.ready))

    def chosen(self) -> End | None:
        """Return the end whose turn it is."""
        ready = sorted(self.ready)
        return ready[next(self.turns) % len(ready)] if ready else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        """Hand the request on; what goes wrong is 502."""
        server = self.server
        assert isinstance(server, Balancer)
        end = server.chosen()
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length) if length else None
        try:
            if end is None:
                raise OSError("nobody is ready")
            connection = http.client.HTTPConnection(*end, timeout=30)
            connection.request(self.command, self.path, content, dict(self.headers))
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException) as why:
            self.send_error(502, f"{end}: {type(why).__name__} {why}")
            return
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(text)))
        self.send_header("X-Replica", "{}:{}".format(*end or ()))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_GET

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


def _is_ready(end: End) -> bool:
    connection = http.client.HTTPConnection(*end, timeout=2)
    try:
        connection.request("GET", "/@@zmount-alive")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextmanager
def balancing(*ends: End) -> Iterator[Balancer]:
    """Run a balancer before ENDS; it is ready when all of them are."""
    balancer = Balancer(ends)
    threads = [threading.Thread(target=balancer.serve_forever, daemon=True)]
    # each by itself: where all threads of one are busy, its probe waits for one, too
    threads += [threading.Thread(target=balancer.probe, args=(end,), daemon=True) for end in ends]
    for thread in threads:
        thread.start()
    try:
        deadline = time.monotonic() + 20
        while len(balancer.ready) < len(ends):
            assert time.monotonic() < deadline, "the replicas do not get ready"
            time.sleep(0.05)
        balancer.least_ready = len(ends)
        yield balancer
    finally:
        balancer.stops.set()
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
