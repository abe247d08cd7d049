"""The generations of a stage: a directory for each swap, and which one counts.

::

    GENERATIONS/current -> gen-000002     which one; replaced by a rename
    GENERATIONS/lock                      held by the process that serves the stage
    GENERATIONS/blobs/                    the bases' blobs, by hard link: of all generations
    GENERATIONS/gen-000002/
        meta.json                         see Meta
        base.fs, base.fs.index            production at a moment
        base.fs.lock/                     a directory: nobody can open base.fs for writing
        changes.fs, changes-blobs/        what was changed on staging since
        served                            it has been the current one

Without ``current`` the stage is its plain file. What is half built ends in ``.new``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from zmount.filestorage.index import sync_directory
from zmount.filestorage.pack_files import write_durably

NAME = re.compile(r"gen-(\d{6})")
PLAIN = 0  # the number of the plain file that was there before the first swap
NEW = ".new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What a generation is.

    ``mode`` is "link" or "copy"; ``source`` names production. Its transaction
    ``base_tid`` is the last one that counts, and ends at byte ``base_end``.
    ``floor`` is the tid of the swap: newer than what any client had seen before.
    ``first_oid``: objects that staging creates begin here. ``packed`` is the
    time of the last pack of the changes. Tids and oids are in hexadecimal, empty
    where there is none; ``swapped_at`` counts seconds since 1970.
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


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation's directory."""

    path: Path

    @property
    def number(self) -> int:
        """They count up, and are never used again."""
        found = NAME.fullmatch(self.path.name.removesuffix(NEW))
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
    def meta(self) -> Meta:
        """What it is.

        :raises OSError, ValueError, TypeError: it has no right meta.json
        """
        return Meta(**json.loads((self.path / "meta.json").read_text()))

    def write_meta(self, meta: Meta) -> None:
        """Replace what it is, on the disk."""
        write_durably(self.path / "meta.json", json.dumps(asdict(meta), indent=1))

    def note_pack(self, tid: bytes) -> None:
        """Note the time of a pack of the changes."""
        self.write_meta(replace(self.meta, packed=tid.hex()))

    @property
    def was_served(self) -> bool:
        """Whether it is or has been the current one."""
        return (self.path / "served").exists()

    def note_served(self) -> None:
        """Note that it is the current one."""
        (self.path / "served").touch()


class Generations:
    """The directory of them; the caller holds its lock, except for reading."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.current_link = path / "current"

    @property
    def blobs(self) -> Path:
        """The blobs of all bases."""
        return self.path / "blobs"

    @property
    def plain_note(self) -> Path:
        """The floor of the plain file, if it came back after a swap."""
        return self.path / "plain.json"

    def note_plain(self, floor: bytes) -> None:
        """Note the floor of the plain file, on the disk."""
        write_durably(self.plain_note, json.dumps({"floor": floor.hex()}))

    @property
    def control(self) -> Path:
        """The socket over which the process that serves the stage is told to swap."""
        return self.path / "control"

    @property
    def lock(self) -> Path:
        """The lock file of the process that serves the stage, or works on it."""
        return self.path / "lock"

    @property
    def current(self) -> Generation | None:
        """The current one; None: the plain file."""
        try:
            name = self.current_link.readlink().name
        except FileNotFoundError:
            return None
        return Generation(self.path / name) if NAME.fullmatch(name) else None

    def all(self) -> tuple[Generation, ...]:
        """Return the complete ones, the oldest first."""
        names = (path.name for path in self.path.glob("gen-*"))
        return tuple(Generation(self.path / name) for name in sorted(names) if NAME.fullmatch(name))

    def previous(self) -> Generation | None:
        """Return the one that was current before the current one; None: the plain file was."""
        current = self.current
        number = PLAIN if current is None else current.number
        before = [one for one in self.all() if one.number != number and one.was_served]
        return before[-1] if before else None

    def begin(self) -> Generation:
        """Make the directory of a new one, which is incomplete until :meth:`complete`."""
        numbers = [one.number for one in self.all()]
        number = 1 + max(numbers, default=PLAIN)
        path = self.path / f"gen-{number:06d}{NEW}"
        path.mkdir()
        return Generation(path)

    def complete(self, new: Generation) -> Generation:
        """Let a new one have its name, now that all of it is on the disk."""
        sync_directory(new.path)
        path = new.path.with_name(new.path.name.removesuffix(NEW))
        new.path.rename(path)
        sync_directory(self.path)
        return Generation(path)

    def make_current(self, one: Generation | None) -> None:
        """Let ONE be the current one from now on; None: the plain file."""
        if one is None:
            self.current_link.unlink()
        else:
            beside = self.path / f"current{NEW}"
            beside.unlink(missing_ok=True)
            beside.symlink_to(one.path.name)
            beside.rename(self.current_link)
        sync_directory(self.path)
        if one is not None:
            one.note_served()

    def remove_leftovers(self) -> tuple[str, ...]:
        """Remove what was never current: half built, or built and not switched to."""
        current = self.current
        if current is not None:
            current.note_served()
        (self.path / f"current{NEW}").unlink(missing_ok=True)
        leftovers = list(self.path.glob(f"gen-*{NEW}"))
        leftovers += [one.path for one in self.all() if not one.was_served]
        for path in leftovers:
            remove(path)
        return tuple(path.name for path in leftovers)

    def outdated(self, keep: int) -> tuple[Generation, ...]:
        """Return those that go: all but the current one and the KEEP last ones before it."""
        current = self.current
        others = [one for one in self.all() if current is None or one.number != current.number]
        return tuple(others[: max(0, len(others) - keep)])


def remove(path: Path) -> None:
    """Remove a generation's directory, in an order that leaves nothing that looks whole."""
    (path / "meta.json").unlink(missing_ok=True)
    shutil.rmtree(path)


def pinned_bytes(one: Generation) -> int:
    """Return how many bytes of the disk would be free without this generation.

    Its base counts only where production has another file by now.
    """
    total = 0
    for directory, _, names in os.walk(one.path):
        for name in names:
            found = Path(directory, name).stat()
            if found.st_nlink == 1:
                total += found.st_blocks * 512
    return total
