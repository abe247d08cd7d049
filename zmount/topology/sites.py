"""Sites: what visitors know by name."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from zmount.topology.places import NOWHERE, Place
from zmount.topology.storages import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A site with its live content and the copy that changes are tested in.

    ``container`` is the folder that holds the site inside both storages.
    ``staging`` is None for a site without a staging area. ``is_swapped`` is False
    where the file says that nothing replaces what staging holds (stage-mode none).
    """

    name: str
    production: Storage
    staging: Storage | None
    container: PurePosixPath = PurePosixPath("/home")
    container_class: str = ""
    is_swapped: bool = True
    place: Place = field(default=NOWHERE, compare=False, repr=False)

    @property
    def real_path(self) -> PurePosixPath:
        """Where the site lies inside its storages; the same in both."""
        return self.container / self.name

    @property
    def storages(self) -> tuple[Storage, ...]:
        """Production first."""
        return (self.production,) if self.staging is None else (self.production, self.staging)
