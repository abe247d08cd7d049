"""What was found of the threads of Zope processes that do not come back."""

from __future__ import annotations

import shlex
from dataclasses import asdict, dataclass
from typing import Any, Literal

from zmount.effects.threads import Frame
from zmount.operations.offlined import Side
from zmount.operations.request_paths import object_names

Kind = Literal["spins", "waits"]
INNERMOST = 5  # frames that are shown


@dataclass(frozen=True, slots=True, kw_only=True)
class BusyThread:
    """A thread that works on one request for long, or computes without one that is known.

    It ``spins`` if it computes all the time, else it ``waits`` for something. ``share`` is
    the part of one processor that it had. ``seconds`` is how long its request lasts,
    None where that is not known. ``site``, ``side`` and ``storage`` are "" where its
    path is not a site's. ``frames`` begin with the innermost.
    """

    native_id: int
    kind: Kind
    share: float
    seconds: float | None = None
    method: str = ""
    path: str = ""
    mount_point: str = ""
    storage: str = ""
    site: str = ""
    side: Side | None = None
    frames: tuple[Frame, ...] = ()

    @property
    def request(self) -> str:
        """What it works on, fit for a terminal: a visitor chose the path."""
        path = printable(self.path)
        return f"{printable(self.method)} {path}" if path else "a request that is not known"

    @property
    def reason(self) -> str:
        """Why its site would be taken off-line."""
        return f"{printable('/' + '/'.join(object_names(self.path)))} {self.kind}"

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLook:
    """A Zope process: does it answer, and which of its threads do not come back.

    ``pid`` is None if it does not run. ``waiting`` is the number of requests that waited
    for a thread in the last minute, None where the log tells none. ``has_agent`` is True
    if it says what its threads do. ``notes`` say what could not be seen, and why.
    """

    process: str
    instance: str
    pid: int | None
    is_answering: bool
    detail: str
    threads: tuple[BusyThread, ...] = ()
    known_threads: int = 0
    waiting: int | None = None
    has_agent: bool = False
    notes: tuple[str, ...] = ()

    @property
    def is_stuck(self) -> bool:
        """True if one of its threads does not come back."""
        return bool(self.threads)

    @property
    def threads_alike(self) -> tuple[tuple[BusyThread, ...], ...]:
        """Its threads, those together that are at the same line of code for the same site."""
        groups: dict[tuple[object, ...], list[BusyThread]] = {}
        for each in self.threads:
            groups.setdefault((each.mount_point, each.frames), []).append(each)
        return tuple(map(tuple, groups.values()))

    @property
    def remedies(self) -> tuple[str, ...]:
        """The commands that take the sites off-line whose requests do not come back."""
        found: dict[tuple[str, Side | None], str] = {}
        for each in self.threads:
            if each.site:
                command = ["zmount", "offline", each.site, "--instance", self.instance]
                command += [f"--{each.side}"] if each.side else []
                command += ["--reason", each.reason]
                command += [] if self.is_answering else ["--restart"]
                found.setdefault((each.site, each.side), shlex.join(command))
        return tuple(found.values())

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values."""
        return {
            "process": self.process,
            "instance": self.instance,
            "pid": self.pid,
            "is_answering": self.is_answering,
            "detail": self.detail,
            "threads": [each.as_json() for each in self.threads],
            "waiting": self.waiting,
            "has_agent": self.has_agent,
            "remedies": list(self.remedies),
            "notes": list(self.notes),
        }


def printable(text: str) -> str:
    """Return TEXT without what would command a terminal."""
    return "".join(each if each.isprintable() else "?" for each in text)
