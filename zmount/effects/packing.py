"""Packing a storage: through its ZEO server, in its Zope, or from its file.

Each way is an object whose ``run`` returns when the storage is packed, and whose
``abandon`` makes another thread's ``run`` end. What a packer has to say stands
in files beside the Data.fs: ``pack-report``, ``pack-progress``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ZEO.ClientStorage import ClientStorage
from ZEO.Exceptions import ClientDisconnected

from zmount.effects.child_process import as_user, dying_with_us, environment
from zmount.effects.clock import now
from zmount.effects.in_zope import pack as in_zope
from zmount.effects.log_tail import last_lines
from zmount.effects.zeo_client import connected
from zmount.effects.zope_http import ZopeClient
from zmount.errors import PackFailed
from zmount.filestorage.pack_files import PackFiles, read_json
from zmount.topology.addresses import Address
from zmount.topology.options import Secret
from zmount.topology.processes import Process
from zmount.topology.storages import Storage
from zmount.topology.zeo import Tls

STOP_TIMEOUT_S = 10  # for a packer to remove what it has begun
REQUEST_LIVES_S = 300  # a pack call that waits longer for its turn collects garbage again
SLACK_S = 1.0  # clocks of one machine


class Packing(Protocol):
    """A pack, and how to end it before its time."""

    def run(self) -> None:
        """Pack; return when it is done.

        :raises ZMountError: it was not
        """

    def abandon(self) -> None:
        """Make ``run`` end soon, called from another thread."""


@dataclass(slots=True, kw_only=True)
class ThroughZeo:
    """The ZEO server at ``addresses`` packs ``storage``; ``time`` is in epoch seconds."""

    storage: Storage
    addresses: Sequence[Address]
    tls: Tls | None
    time: float
    _client: ClientStorage | None = None

    def run(self) -> None:
        self._client = client = connected(self.storage, self.addresses, self.tls)
        try:
            client.pack(self.time, wait=True)
        except ClientDisconnected:
            raise PackFailed(
                "the connection to the ZEO server ended while it packed",
                hint="zmount status; a server that runs on goes on packing",
            ) from None
        except Exception as why:  # of any class: whatever came up in the server
            raise PackFailed(f"the ZEO server says: {_said(why)}") from why
        finally:
            client.close()

    def abandon(self) -> None:
        """Hang up. The server goes on: ZEO has no call that stops a pack."""
        if self._client is not None:
            self._client.close()


@dataclass(slots=True, kw_only=True)
class ThroughZope:
    """The Zope at ``address`` packs its ``database``, as its management screens do."""

    address: Address
    user: str
    password: Secret
    database: str
    days: float

    def run(self) -> None:
        zope = ZopeClient(self.address, user=self.user, password=self.password.reveal())
        zope.pack(self.database, self.days)

    def abandon(self) -> None:
        """Do nothing: Zope goes on packing whoever listens."""


@dataclass(slots=True, kw_only=True)
class Child:
    """A process of ours that does REQUEST (see ``in_zope/pack.py``) and ends with us.

    It is PYTHON, run as the user of PROCESS where that is not None.
    """

    python: str
    request: dict[str, Any]
    process: Process | None = None
    report: dict[str, Any] = field(default_factory=dict)
    _child: subprocess.Popen[str] | None = None

    def run(self) -> None:
        source = Path(in_zope.__file__).read_text()
        try:
            self._child = child = subprocess.Popen(
                dying_with_us(self.python, (self.python, "-c", source)),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(self.process) if self.process is not None else None,
                start_new_session=True,  # Ctrl-C is for us: we end it in our own way
                **as_user(self.process.user if self.process is not None else ""),
            )
        except OSError as why:
            raise PackFailed(
                f"{self.python} cannot be run: {why.strerror}",
                hint="make the virtual environment where its user can read it",
            ) from None
        said, printed = child.communicate(json.dumps(self.request))
        self._take(said, printed, child.returncode)

    def abandon(self) -> None:
        """End the process: its packer removes what it has begun."""
        if self._child is None:
            return
        self._child.terminate()
        try:
            self._child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._child.kill()

    def _take(self, said: str, printed: str, status: int) -> None:
        try:
            answer = json.loads(said)
        except ValueError:
            last = last_lines(printed, 1) or (f"exit status {status}",)
            raise PackFailed(f"the process that packs ended: {last[0].strip()}") from None
        if "error" in answer:
            raise PackFailed(answer["error"], hint=answer["hint"] or _hint(answer["error"]))
        self.report = answer["report"]


def _said(why: Exception) -> str:
    """Return what WHY says; of an exception that this Python does not know, its arguments."""
    match why.args:
        case (str(), tuple(arguments)):  # ZEO's for the class and arguments of what it met
            said = next((each for each in arguments if isinstance(each, str)), "")
            return said or str(why.args[0])
    return str(why) or type(why).__name__


def _hint(error: str) -> str:
    return "zmount must be in that virtual environment" if "named 'zmount" in error else ""


def own_python() -> str:
    """Return the Python that runs zmount."""
    return sys.executable


@contextmanager
def garbage_kept(data_fs: Path) -> Iterator[None]:
    """Let zmount's packer keep garbage, whoever calls it on DATA_FS meanwhile.

    :raises PackFailed: the request for it cannot be written
    """
    path = PackFiles(data_fs).options
    request = json.dumps({"gc": False, "expires": now() + REQUEST_LIVES_S})
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, flags, 0o644), "w") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(request)
    except OSError as why:
        raise PackFailed(
            f"{path} cannot be written: {why.strerror}", hint="as the storage's user, or as root"
        ) from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def report_of(data_fs: Path | None) -> dict[str, Any]:
    """Return the report of the last pack of DATA_FS; {} if there is none."""
    return {} if data_fs is None else _since(PackFiles(data_fs).report, 0.0)


def report_since(
    data_fs: Path | None, started: float, earlier: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Return the report of a pack of DATA_FS that began at STARTED (epoch) or later; else {}.

    It is not EARLIER, that of the pack before, which may have been this very second.
    """
    found = {} if data_fs is None else _since(PackFiles(data_fs).report, started)
    return {} if found == earlier else found


def progress_since(data_fs: Path, started: float) -> dict[str, Any]:
    """Return how far a pack of DATA_FS is that began at STARTED (epoch) or later; else {}."""
    return _since(PackFiles(data_fs).progress, started)


def _since(path: Path, started: float) -> dict[str, Any]:
    try:
        found = read_json(path)
    except OSError:
        return {}
    began = found.get("started")
    is_later = isinstance(began, int | float) and began >= started - SLACK_S
    return found if is_later else {}
