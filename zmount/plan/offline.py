"""Which mount points are off-line, as zmount remembers it: since when, why, by whom.

The list is a file of zmount's own directory on each host, so that neither ``zmount
apply`` nor a restart puts a mount point back that somebody has taken off-line.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from zmount.plan.manifest import STATE

OFFLINE = STATE / "offline.json"
RETRY_AFTER_S = 600  # what visitors' browsers and search engines are told


@dataclass(frozen=True, slots=True, kw_only=True)
class Offline:
    """A mount point that was taken off-line.

    ``path`` is its path in ``instance``; ``since`` is a moment as ISO 8601 writes it.
    ``reason`` and ``by`` are for administrators; visitors do not see them.
    ``is_unmounted`` is True where its database is left out of zope.conf as well.
    """

    instance: str
    path: str
    site: str
    storage: str
    since: str
    reason: str = ""
    by: str = ""
    is_unmounted: bool = False

    @property
    def told(self) -> str:
        """Since when, by whom and why."""
        by = f" by {self.by}" if self.by else ""
        why = f": {self.reason}" if self.reason else ""
        how = "off-line and unmounted" if self.is_unmounted else "off-line"
        return f"{how} since {self.since}{by}{why}"

    def as_json(self) -> dict[str, Any]:
        """Return the same as plain values."""
        return asdict(self)


def offline_text(mounts: Iterable[Offline]) -> str:
    """Return the text of the list of MOUNTS, the same for the same ones."""
    ordered = sorted(mounts, key=lambda each: (each.site, each.instance, each.path))
    found = {"version": 1, "offline": [each.as_json() for each in ordered]}
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"


def parse_offline(text: str) -> tuple[Offline, ...]:
    """Return the mount points that TEXT lists.

    :raises ValueError: it is no such list
    """
    try:
        return tuple(Offline(**each) for each in json.loads(text)["offline"])
    except (KeyError, TypeError, AttributeError) as why:
        raise ValueError(f"no list of mount points that are off-line: {why}") from None
