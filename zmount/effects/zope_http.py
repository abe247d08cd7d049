"""Talking to a Zope over HTTP as its administrator, or as a visitor."""

from __future__ import annotations

import base64
import http.client
import http.cookiejar
import json
import socket
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from zmount.errors import AccessRefused, ProcessFailed
from zmount.topology.addresses import Address


class _IdInUse(ProcessFailed):
    """Zope refuses a second object of the same id in a folder."""


class _NotThere(ProcessFailed):
    """There is nothing at this path."""


class _OneBrowser(http.cookiejar.DefaultCookiePolicy):
    """Sends a cookie to whatever address is asked: to a browser all replicas are one site."""

    def domain_return_ok(self, domain: str, request: urllib.request.Request) -> bool:
        """Let each domain's cookies be looked at."""
        return True

    def return_ok_domain(
        self, cookie: http.cookiejar.Cookie, request: urllib.request.Request
    ) -> bool:
        """Let a cookie of another domain go along."""
        return True


def one_browser() -> http.cookiejar.CookieJar:
    """Return the cookies of one browser, for clients of several replicas of one site."""
    return http.cookiejar.CookieJar(_OneBrowser())


class _UnixConnection(http.client.HTTPConnection):
    """Speaks HTTP over a unix socket."""

    def __init__(self, address: Address, host: str, timeout: float | None) -> None:
        super().__init__(host, timeout=timeout)
        self._address = address

    def connect(self) -> None:
        """Connect to the socket, whatever host the request names."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._address.socket))


class _UnixHandler(urllib.request.HTTPHandler):
    """Opens every http URL at one unix socket."""

    def __init__(self, address: Address) -> None:
        super().__init__()
        self._address = address

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        """Send REQUEST, and return the answer."""

        def connection(
            host: str, /, *, timeout: float = 60, **more: Any
        ) -> http.client.HTTPConnection:
            return _UnixConnection(self._address, host, timeout)

        return self.do_open(connection, request)


class ZopeClient:
    """A browser of one instance, with its own cookies.

    USER and PASSWORD are sent with every request as HTTP basic authentication;
    without them it is an anonymous visitor. With COOKIES those are its cookies.
    """

    def __init__(
        self,
        address: Address,
        *,
        user: str = "",
        password: str = "",
        cookies: http.cookiejar.CookieJar | None = None,
    ) -> None:
        if cookies is None:
            cookies = http.cookiejar.CookieJar()
        self.base = f"http://{address}" if address.socket is None else "http://localhost"
        self._address = address
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),  # never by way of a proxy: it is this machine
            urllib.request.HTTPCookieProcessor(cookies),
            *([] if address.socket is None else [_UnixHandler(address)]),
        )
        if user:
            token = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._opener.addheaders = [("Authorization", f"Basic {token}")]

    def get(self, path: str) -> str:
        """Return the text at PATH.

        :raises ProcessFailed: the answer is an error, or there is none
        """
        return self._open(urllib.request.Request(self.base + path))

    def post(self, path: str, **fields: str) -> str:
        """Send FIELDS as a form to PATH and return the answer's text.

        :raises ProcessFailed: the answer is an error, or there is none
        """
        data = urllib.parse.urlencode(fields).encode()
        return self._open(urllib.request.Request(self.base + path, data=data))

    def add(self, path: str, **fields: str) -> bool:
        """Send FIELDS to PATH, a form that adds an object; False if its id is in use.

        :raises ProcessFailed: the answer is another error, or there is none
        """
        try:
            self.post(path, **fields)
        except _IdInUse:
            return False
        return True

    def ask_agent(
        self, do: str, *, timeout_s: float = 300, page: str = "zmount-agent", **values: Any
    ) -> dict[str, Any]:
        """Let zmount's agent in the instance DO something; return what its PAGE answers.

        :raises AccessRefused: the instance does not take us for a manager of its root
        :raises ProcessFailed: it has no agent, does not answer, or cannot do it
        """
        request = urllib.request.Request(
            f"{self.base}/@@{page}",
            data=json.dumps({"do": do, **values}).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            answer: dict[str, Any] = json.loads(self._open(request, timeout_s=timeout_s))
        except _NotThere:
            raise ProcessFailed(
                f"http://{self._address}: the instance runs without zmount's agent",
                hint="zmount apply, zmount restart; zmount must be installed in its environment. "
                "Or zmount stop it, do this while it is down, and zmount start it",
            ) from None
        except ValueError:
            raise ProcessFailed(
                f"{self._shown(request)}: what answers there is not zmount's agent",
                hint="zmount status: is it this instance's port?",
            ) from None
        return answer

    def pack(self, database: str, days: float) -> None:
        """Pack DATABASE, one of Zope's, to DAYS ago; return when it is done.

        :raises ProcessFailed: the answer is an error, or there is none
        """
        panel = f"/Control_Panel/Database/{urllib.parse.quote(database)}"
        data = urllib.parse.urlencode({"days": days}).encode()
        request = urllib.request.Request(f"{self.base}{panel}/manage_pack", data=data)
        self._open(request, timeout_s=None)

    def minimize(self, database: str) -> None:
        """Let all threads forget the objects of DATABASE, one of Zope's, that they hold.

        :raises ProcessFailed: the answer is an error, or there is none
        """
        panel = f"/Control_Panel/Database/{urllib.parse.quote(database)}"
        self.post(f"{panel}/manage_minimize", value="1")

    def _shown(self, request: urllib.request.Request) -> str:
        """Return what REQUEST asks for, with the socket that is asked."""
        return f"http://{self._address}{request.selector}"

    def _open(self, request: urllib.request.Request, *, timeout_s: float | None = 60) -> str:
        try:
            with self._opener.open(request, timeout=timeout_s) as answer:
                return str(answer.read().decode("utf-8", "replace"))
        except urllib.error.HTTPError as error:
            if error.code == 400 and b"already in use" in error.read():
                raise _IdInUse(f"{self._shown(request)}: the id is in use") from None
            if error.code == 401:
                raise AccessRefused(
                    f"{self._shown(request)} does not let the administrator in",
                    hint="say who is one: ZMOUNT_ADMINISTRATOR=NAME:PASSWORD, or the file "
                    "etc/administrator (mode 0600)",
                ) from None
            if error.code == 400 and "/@@" in request.full_url:
                raise ProcessFailed(
                    f"{self._shown(request)} does not understand what it is asked",
                    hint="it runs another version of zmount: zmount restart the instance",
                ) from None
            if error.code == 404:
                raise _NotThere(f"{self._shown(request)} answered 404 {error.reason}") from None
            raise ProcessFailed(
                f"{self._shown(request)} answered {error.code} {error.reason}",
                hint="the instance's log/event.log says why",
            ) from None
        except OSError as error:
            raise ProcessFailed(f"{self._shown(request)} did not answer: {error}") from None
