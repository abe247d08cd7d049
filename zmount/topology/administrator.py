"""The first user of every root."""

from __future__ import annotations

from dataclasses import dataclass

from zmount.topology.options import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Administrator:
    """A user with the Manager role, created in roots that have no user yet.

    ``password`` is None where zmount shall make one up and leave it in
    ``etc/administrator`` (mode 0600) of the deployment's directory.
    """

    name: str
    password: Secret | None = None
