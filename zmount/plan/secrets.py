"""Every secret of a topology, so that none of them is ever shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from zmount.topology.options import Secret
from zmount.topology.topology import Topology


def secrets_of(topology: Topology) -> frozenset[str]:
    """Return the revealed text of every secret that TOPOLOGY holds."""
    return frozenset(secret.reveal() for secret in _secrets(topology, set()))


def _secrets(value: Any, met: set[int]) -> Iterator[Secret]:
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _secrets(item, met)
    elif is_dataclass(value) and id(value) not in met:
        met.add(id(value))  # a storage is met once for each mount of it
        for field in fields(value):
            yield from _secrets(getattr(value, field.name), met)
