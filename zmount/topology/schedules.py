"""Schedules: what is done again and again, by cron or by systemd's timers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath
from typing import Literal

from zmount.topology.cron import Cron
from zmount.topology.hosts import Host
from zmount.topology.places import NOWHERE, Place
from zmount.topology.windows import Window

Job = Literal[
    "pack", "verify", "health", "restart", "rotate-logs", "swap-stage", "start", "command"
]
Scheduler = Literal["crontab", "systemd"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A noun that a job is about, and the names of the hosts that it lives on."""

    name: str
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mails:
    """How mail is sent: by the SMTP server ``server``, or by this machine's sendmail.

    ``server`` is host:port, "" for sendmail. ``sender`` "" is the user at this machine.
    """

    server: str = ""
    sender: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A job, when it is done, and what becomes of its result.

    ``of`` are the nouns that the job is about; empty: all of each host. ``jitter_s`` is
    how many seconds later than ``at`` it may begin, at random; outside of all ``windows``
    it does not begin. ``wait_s`` is how long a run waits for the one before it, 0: it
    leaves. ``timeout_s`` 0 is none. ``options`` go to the zmount command as they are.
    ``command`` is a shell's line, for the job command only, done as ``user`` where zmount
    is root. ``on_failure`` is a shell's line, too; ``mail`` are addresses.
    """

    name: str
    job: Job
    at: Cron
    hosts: tuple[Host, ...]
    of: tuple[Named, ...] = ()
    jitter_s: int = 0
    windows: tuple[Window, ...] = ()
    wait_s: int = 0
    timeout_s: int = 0
    options: tuple[str, ...] = ()
    command: str = ""
    user: str = ""
    on_failure: str = ""
    mail: tuple[str, ...] = ()
    place: Place = field(default=NOWHERE, compare=False, repr=False)

    def names_on(self, host: Host) -> tuple[str, ...]:
        """Return the names of what the job is about on HOST; none: all of it."""
        return tuple(named.name for named in self.of if host.name in named.hosts)

    def is_on(self, host: Host) -> bool:
        """True if HOST does the job."""
        return any(host.name == each.name for each in self.hosts)

    def may_begin(self, moment: datetime) -> bool:
        """True if MOMENT, of the clock on the wall, is in a window, or there is none."""
        return not self.windows or any(window.holds(moment) for window in self.windows)

    def log(self, host: Host) -> PurePosixPath:
        """Return the file on HOST that has the output of all runs."""
        return host.directory / "log" / f"{self.name}.log"
