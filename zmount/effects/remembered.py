"""Small facts that zmount keeps for itself between two runs; nothing depends on them."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

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
    path = _path(host, name)
    staged = path.with_name(f".{name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(values, file)
        staged.replace(path)
    except OSError:
        with suppress(OSError):
            staged.unlink()
        return False
    return True


def _path(host: Host, name: str) -> Path:
    return Path(host.directory / STATE / name)
