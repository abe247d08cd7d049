"""One generation of a stage: the files in its directory, and what it is."""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ZODB.POSException import StorageError

from zmount.filestorage.pack_files import write_durably

NAME = re.compile(r"gen-(\d{6})")
PLAIN = 0  # the number of the plain file that was there before the first swap
NEW, GONE = ".new", ".gone"
# files of its directory, those that FileStorage makes beside them included
OURS = re.compile(
    r"(base|changes)\.fs.*|base-blobs|changes-blobs|copy"
    r"|(meta\.json|served|dropped-blobs)(\.new|\.tmp)*"
)


class BrokenGeneration(StorageError):  # type: ignore[misc]
    """A generation's directory, or what names it, is not what a swap put there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What a generation is.

    ``mode`` is "link" or "copy"; ``source`` names production. Its transaction
    ``base_tid`` is the last one that counts, and ends at byte ``base_end``.
    ``floor`` is the tid of the swap: newer than what any client had seen before.
    ``first_oid``: objects that staging creates begin here. ``packed`` is the
    time of the last pack of the changes. Tids and oids are in hexadecimal, empty
    where there is none; ``swapped_at`` counts seconds since 1970. ``before`` is
    the number of what was current before it. ``has_blobs``: the common directory
    of blobs has all that the base needs.
    """

    mode: str
    source: str
    base_tid: str
    base_end: int
    base_inode: int
    floor: str = ""
    first_oid: str = ""
    packed: str = ""
    swapped_at: float = 0.0
    before: int = PLAIN
    has_blobs: bool = False


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation's directory."""

    path: Path

    @property
    def number(self) -> int:
        """They count up, and are never used again."""
        found = NAME.match(self.path.name)
        assert found is not None  # Generations makes no others
        return int(found[1])

    @property
    def base(self) -> Path:
        """Production's data file at a moment."""
        return self.path / "base.fs"

    @property
    def changes(self) -> Path:
        """The data file of what was changed since."""
        return self.path / "changes.fs"

    @property
    def changes_blobs(self) -> Path:
        """Its blobs."""
        return self.path / "changes-blobs"

    @property
    def dropped_blobs(self) -> Path:
        """JSON: the blobs in the common directory that only older generations need."""
        return self.path / "dropped-blobs"

    @property
    def meta(self) -> Meta:
        """What it is.

        :raises OSError, ValueError, TypeError: it has no right meta.json
        """
        return Meta(**json.loads((self.path / "meta.json").read_text()))

    @property
    def known_meta(self) -> Meta | None:
        """What it is; None: that cannot be read."""
        try:
            return self.meta
        except (OSError, ValueError, TypeError):
            return None

    def write_meta(self, meta: Meta) -> None:
        """Replace what it is, on the disk."""
        write_durably(self.path / "meta.json", json.dumps(asdict(meta), indent=1))

    def note_pack(self, tid: bytes) -> None:
        """Note the time of a pack of the changes."""
        self.write_meta(replace(self.meta, packed=tid.hex()))

    def foreign_names(self) -> tuple[str, ...]:
        """Return what is in its directory that no swap put there."""
        try:
            found = [path.name for path in self.path.iterdir()]
        except PermissionError:
            return (".",)  # who knows
        return tuple(name for name in found if not OURS.fullmatch(name))

    @property
    def was_served(self) -> bool:
        """Whether it is or has been the current one, as far as can be seen."""
        try:
            return (self.path / "served").exists()
        except PermissionError:
            return True

    @property
    def known_floor(self) -> str:
        """The tid of the swap to it; empty: that cannot be read."""
        meta = self.known_meta
        return "" if meta is None else meta.floor

    def note_served(self) -> None:
        """Note that it is the current one."""
        (self.path / "served").touch()


def remove(path: Path) -> None:
    """Remove a generation's directory; one that is not complete bears another name."""
    if not path.name.endswith((NEW, GONE)):
        gone = path.with_name(path.name + GONE)
        path.rename(gone)
        path = gone
    shutil.rmtree(path)


def pinned_bytes(one: Generation) -> int:
    """Return how many bytes of the disk would be free without this generation.

    Its base counts only where production has another file by now.
    """
    total = 0
    for directory, _, names in os.walk(one.path):
        for name in names:
            with suppress(FileNotFoundError):  # it is being removed
                found = Path(directory, name).stat()
                if found.st_nlink == 1:
                    total += found.st_blocks * 512
    return total
