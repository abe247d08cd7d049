"""A database that Plone wrote; the fixture ``plone_small`` unpacks it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PLONE = Path(__file__).parents[1] / "data" / "plone-small.tar.xz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plone:
    """A FileStorage that Plone 6.1 wrote.

    4 MB, 16 transactions, 9,520 records of 8,848 objects, 4 blobs; never packed.
    """

    data_fs: Path
    blob_dir: Path

    @property
    def index(self) -> Path:
        """What lies there as its index: 9 bytes, of an empty storage."""
        return self.data_fs.with_name(self.data_fs.name + ".index")
