"""Taking mount points off-line, and putting them back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from zmount.plan.offline import RETRY_AFTER_S, Offline
from zmount.plan.root_steps import RootStep

# What visitors read. It is the text of a DTML method: nothing of an operator's goes in.
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>Not available</title></head>
<body>
<h1>This site is not available at the moment</h1>
<p>Please come back later.</p>
</body>
</html>
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeOffline(RootStep):
    """Let a folder that answers 503 stand in for a mount point."""

    name = "take_offline"
    offline: Offline

    def as_json(self) -> dict[str, Any]:
        """Return the step as ``agent/steps.py`` reads it."""
        return {
            "step": self.name,
            "virtual": self.offline.path,
            "note": {
                "since": self.offline.since,
                "reason": self.offline.reason,
                "by": self.offline.by,
                "site": self.offline.site,
            },
            "page": PAGE,
            "retry_after_s": RETRY_AFTER_S,
        }

    def __str__(self) -> str:
        return f"take {self.offline.path} off-line, as it is since {self.offline.since}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PutOnline(RootStep):
    """Put the mount point back that a folder stands in for."""

    name = "put_online"
    virtual: str
    database: str
    makes_missing: bool = False

    def __str__(self) -> str:
        return f"put the mount point {self.virtual} back"
