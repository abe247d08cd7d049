"""What show and status say of what is off-line."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from zmount.effects.offline_state import offline_mounts
from zmount.errors import OfflineFailed
from zmount.plan.offline import Offline
from zmount.topology.hosts import Host


def known_offline(hosts: Iterable[Host]) -> tuple[Offline, ...]:
    """Return what is known to be off-line on HOSTS; nothing of one whose list cannot be read.

    A host's list is a file on it: of another machine's nothing is known here.
    """
    found: dict[Offline, None] = {}
    for host in hosts:
        with suppress(OfflineFailed):
            found.update(dict.fromkeys(offline_mounts(host)))
    return tuple(found)


def offline_facts(
    mounts: Iterable[Offline], *, site: str = "", instance: str = ""
) -> list[dict[str, Any]]:
    """Return those of MOUNTS that are of SITE, or in INSTANCE, as plain values."""
    return [each.as_json() for each in mounts if site == each.site or instance == each.instance]


def offline_lines(mounts: Iterable[Offline]) -> list[str]:
    """Return a line for each of MOUNTS."""
    return [f"{each.instance} {each.path} ({each.storage}) is {each.told}" for each in mounts]
