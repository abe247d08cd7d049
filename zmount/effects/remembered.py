"""Small facts that zmount keeps for itself between two runs; nothing depends on them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from zmount.effects.published import publish
from zmount.errors import ApplyFailed
from zmount.plan.manifest import STATE
from zmount.topology.hosts import Host


def read_remembered(host: Host, name: str) -> dict[str, Any]:
    """Return what the file NAME in zmount's directory of HOST holds; empty if nothing of use."""
    try:
        found = json.loads(_path(host, name).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def remember_values(host: Host, name: str, values: dict[str, Any]) -> bool:
    """Write VALUES to that file, whole or not at all; return False if it cannot be written."""
    try:
        publish(_path(host, name), json.dumps(values), mode=0o600)
    except ApplyFailed:
        return False
    return True


def _path(host: Host, name: str) -> Path:
    return Path(host.directory / STATE / name)
