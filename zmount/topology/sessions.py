"""Where sessions of visitors are kept, so that a restart does not lose them."""

from __future__ import annotations

from dataclasses import dataclass, field

from zmount.topology.places import NOWHERE, Place
from zmount.topology.storages import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionData:
    """A transient object container in a storage that public instances mount.

    ``path`` is the mount point, ``container`` the id of the container in it.
    ``timeout_minutes`` of silence end a session; ``max_objects`` 0 is no limit.
    """

    storage: Storage
    path: str = "/session"
    container: str = "session_data"
    timeout_minutes: int = 20
    max_objects: int = 0
    place: Place = field(default=NOWHERE, compare=False, repr=False)
