"""The machines of a deployment."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from zmount.topology.places import NOWHERE, Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A machine, and where the deployment lives on it.

    ``address`` is what other hosts connect to. ``directory`` holds everything
    of the deployment on this host; ``venv`` is the virtual environment that ZEO
    and Zope run in. Both are absolute paths on that host.
    """

    name: str
    address: str
    directory: PurePosixPath
    venv: PurePosixPath
    place: Place = field(default=NOWHERE, compare=False, repr=False)

    @property
    def etc(self) -> PurePosixPath:
        """Where zmount puts the host's files that belong to no one process."""
        return self.directory / "etc"
