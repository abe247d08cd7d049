"""Log files of servers and instances."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from zmount.topology.options import Options
from zmount.topology.places import NOWHERE, Place

LOG_KEYS = frozenset(
    "level format date-format max-size old-files when interval "
    "handler handler-args handler-kwargs".split()
)

# What zmount writes into zope.ini where no format is said.
EVENT_FORMAT = "%(asctime)s %(levelname)s [%(name)s:%(lineno)s][%(threadName)s] %(message)s"
ACCESS_FORMAT = "%(message)s"
DATE_FORMAT = "%Y-%m-%d %H:%M:%S"
# What begins and ends a run in the log of a scheduled job; between them is what it printed.
JOB_FORMAT = "=== %(asctime)s %(levelname)s %(message)s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """A log file; ``path`` is absolute, or None where the log is switched off.

    ``options`` are keys of :data:`LOG_KEYS`. Without ``max-size`` or ``when``
    the file is rotated from outside, by logrotate.
    """

    path: PurePosixPath | None
    options: Options = Options()
    place: Place = field(default=NOWHERE, compare=False, repr=False)

    @property
    def level(self) -> str:
        """The lowest level that is written, lower case."""
        return self.options.text("level", "info").lower()

    @property
    def rotates_itself(self) -> bool:
        """True if the writing process rotates the file, so logrotate must not."""
        return "max-size" in self.options or "when" in self.options
