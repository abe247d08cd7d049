"""The files beside a Data.fs that a pack makes, and what an interrupted pack left of them.

``Data.fs.pack`` and ``.pack.index`` become the new Data.fs and its index.
``.pack-blobs`` lists the blobs that go once they have, in the format of
FileStorage's ``.removed``. ``.pack-switch`` is there while one becomes the
other: it names the inode of the new file, so that whoever comes after a crash
knows on which side of the rename it happened. ``.pack-progress`` and
``.pack-report`` are for those who watch.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ZODB.FileStorage.FileStorage import FileStorageError

from zmount.filestorage.index import sync_directory


@dataclass(frozen=True, slots=True)
class PackFiles:
    """The names that belong to the data file ``path``."""

    path: Path

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    @property
    def index(self) -> Path:
        """FileStorage's saved index."""
        return self._beside(".index")

    @property
    def old(self) -> Path:
        """The data file from before, where it is kept."""
        return self._beside(".old")

    @property
    def new(self) -> Path:
        """The data file that is being written."""
        return self._beside(".pack")

    @property
    def new_index(self) -> Path:
        """Its index."""
        return self._beside(".pack.index")

    @property
    def blobs(self) -> Path:
        """The list of blobs that go."""
        return self._beside(".pack-blobs")

    @property
    def switch(self) -> Path:
        """The note that the new file is becoming the data file."""
        return self._beside(".pack-switch")

    @property
    def progress(self) -> Path:
        """JSON: how far the pack is that runs."""
        return self._beside(".pack-progress")

    @property
    def report(self) -> Path:
        """JSON: what the last pack did."""
        return self._beside(".pack-report")

    @property
    def options(self) -> Path:
        """JSON: what the caller wants of the next pack; ZEO's pack call cannot say it."""
        return self._beside(".pack-options")

    def note_switch(self) -> None:
        """Write on the disk that ``new`` is about to become the data file."""
        write_durably(self.switch, json.dumps({"inode": self.new.stat().st_ino}))

    def keep_old(self) -> None:
        """Let the data file have the name ``.old``, too, before it loses its own.

        :raises FileStorageError: this file system has no hard links
        """
        self.old.unlink(missing_ok=True)
        try:
            os.link(self.path, self.old)
        except OSError as why:
            # two renames would do without, but a crash between them leaves no data file
            raise FileStorageError(
                f"{self.old}: the old file cannot be kept by a hard link: {why.strerror}; "
                "pack-keep-old false packs without"
            ) from None

    @property
    def is_switched(self) -> bool:
        """Whether a pack put its file in place and was interrupted before its end."""
        try:
            noted = json.loads(self.switch.read_text())
        except (FileNotFoundError, ValueError):
            return False  # a note that is not whole was never acted upon
        return bool(noted.get("inode") == self.path.stat().st_ino)

    @property
    def is_interrupted(self) -> bool:
        """Whether a pack by this package is not over; whether it still runs, the lock tells."""
        return any(
            path.exists() for path in (self.new_index, self.blobs, self.switch, self.progress)
        )

    @property
    def left_to_do(self) -> str:
        """What an unfinished pack still has to do, the new file being in place."""
        left = ["its index"] if self.new_index.exists() else []
        if self.blobs.exists():
            left.append(f"the blobs that {self.blobs.name} lists")
        return " and ".join(left) or "removing its files"

    def remove_leftovers(self) -> None:
        """Remove what is of use to nobody: the files of a pack that is over, or failed."""
        half_written = (".pack.index.new", ".pack-progress.tmp", ".pack-switch.tmp")
        whole = (self.new, self.new_index, self.blobs, self.progress)
        for path in (*whole, *map(self._beside, half_written)):
            path.unlink(missing_ok=True)
        sync_directory(self.path.parent)
        self.switch.unlink(missing_ok=True)

    def finish_index(self) -> None:
        """Give the new data file its index, where a crash came between the two renames."""
        if self.is_switched and self.new_index.exists() and not self.index.exists():
            self.new_index.replace(self.index)
            sync_directory(self.path.parent)


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in the JSON file PATH; empty if there is none, or nothing sensible."""
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Replace PATH; for those who watch, so neither flushed nor worth a failure."""
    beside = path.with_name(path.name + ".tmp")
    try:
        beside.write_text(json.dumps(content))
        beside.replace(path)
    except OSError:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def write_durably(path: Path, text: str) -> None:
    """Replace PATH by a file that is on the disk."""
    beside = path.with_name(path.name + ".tmp")
    try:
        with beside.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as why:
        raise OSError(why.errno, why.strerror, str(beside)) from None
    beside.replace(path)
    sync_directory(path.parent)
