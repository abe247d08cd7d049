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

    GENERATIONS/plain.json                since an undo has put the plain file back

Before the first swap there is no ``current``, and the stage is its plain file; after
an undo of the first swap it is that again, and ``current`` names ``plain``. What is
half built ends in ``.new``, what is being removed in ``.gone``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ZODB.POSException import StorageError

from zmount.filestorage.index import sync_directory
from zmount.filestorage.pack_files import read_json, write_durably

NAME = re.compile(r"gen-(\d{6})")
PLAIN = 0  # the number of the plain file that was there before the first swap
PLAIN_NAME = "plain"  # what "current" names then
NEW, GONE = ".new", ".gone"


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

    def note_plain(self, floor: bytes, first_oid: bytes) -> None:
        """Note on the disk what is so when the plain file comes back: see Meta."""
        current = self.current
        before = PLAIN if current is None else current.number
        noted = {"floor": floor.hex(), "first_oid": first_oid.hex(), "before": before}
        write_durably(self.plain_note, json.dumps(noted))

    @property
    def plain_floor(self) -> str:
        """The floor of the plain file; empty: no undo put it back."""
        return str(read_json(self.plain_note).get("floor", ""))

    @property
    def plain_first_oid(self) -> str:
        """Objects that are created in the plain file begin here, since an undo."""
        return str(read_json(self.plain_note).get("first_oid", ""))

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
        """The current one; None: the plain file.

        :raises BrokenGeneration: nothing says which, or what does is wrong
        """
        try:
            name = str(self.current_link.readlink())
        except FileNotFoundError:
            self._must_be_unswapped()
            return None
        except OSError:
            raise BrokenGeneration(f"{self.current_link}: this is not a symbolic link") from None
        if name == PLAIN_NAME:
            return None
        one = Generation(self.path / name)
        if not NAME.fullmatch(name) or not one.path.is_dir():
            raise BrokenGeneration(
                f"{self.current_link}: it names {name}, which is not there; {self._choice}"
            )
        return one

    def _must_be_unswapped(self) -> None:
        """Check that no generation has been current yet."""
        served = [one.path.name for one in self.all() if one.was_served]
        if served:
            raise BrokenGeneration(
                f"{self.current_link}: it is missing, though {served[-1]} was current; "
                + self._choice
            )

    @property
    def _choice(self) -> str:
        names = [one.path.name for one in reversed(self.all()) if one.was_served]
        return f"make it a symbolic link to one of {', '.join((*names, PLAIN_NAME))}"

    def all(self) -> tuple[Generation, ...]:
        """Return the complete ones, the oldest first."""
        names = (path.name for path in self.path.glob("gen-*"))
        return tuple(Generation(self.path / name) for name in sorted(names) if NAME.fullmatch(name))

    def previous(self) -> Generation | None:
        """Return what was current before; None: the plain file.

        :raises BrokenGeneration: it is not kept any more
        """
        current = self.current
        if current is None:
            number = int(read_json(self.plain_note).get("before", PLAIN))
        else:
            number = current.meta.before
        if number == PLAIN:
            return None
        for one in self.all():
            if one.number == number:
                return one
        raise BrokenGeneration(f"{self.path}: generation {number} is not kept any more")

    def begin(self) -> Generation:
        """Make the directory of a new one, which is incomplete until :meth:`complete`."""
        numbers = [Generation(path).number for path in self._directories()]
        number = 1 + max(numbers, default=PLAIN)
        path = self.path / f"gen-{number:06d}{NEW}"
        path.mkdir()
        return Generation(path)

    def _directories(self) -> list[Path]:
        return [path for path in self.path.glob("gen-*") if NAME.match(path.name)]

    def complete(self, new: Generation) -> Generation:
        """Let a new one have its name, now that all of it is on the disk."""
        sync_directory(new.path)
        path = new.path.with_name(new.path.name.removesuffix(NEW))
        new.path.rename(path)
        sync_directory(self.path)
        return Generation(path)

    def make_current(self, one: Generation | None) -> None:
        """Let ONE be the current one from now on; None: the plain file.

        After an OSError the one before is it.
        """
        earlier = self.current
        if earlier is not None and not earlier.was_served:
            earlier.note_served()
        try:
            self._point_to(one)
            sync_directory(self.path)
        except OSError:
            self.take_back(earlier)
            raise
        if one is not None:
            with suppress(OSError):  # the next one to open it, or to leave it, does it
                one.note_served()

    def take_back(self, earlier: Generation | None) -> None:
        """Let EARLIER be the current one again, which nobody knows was not so meanwhile."""
        self._point_to(earlier)
        with suppress(OSError):
            sync_directory(self.path)

    def _point_to(self, one: Generation | None) -> None:
        beside = self.path / f"current{NEW}"
        beside.unlink(missing_ok=True)
        beside.symlink_to(PLAIN_NAME if one is None else one.path.name)
        beside.rename(self.current_link)

    def remove_leftovers(self) -> tuple[str, ...]:
        """Remove what was never current: half built, or built and not switched to.

        :raises BrokenGeneration: what is current cannot be known; nothing is removed
        """
        current = self.current
        if current is not None:
            current.note_served()
        found = [path for path in self._directories() if path.name.endswith((NEW, GONE))]
        found += [one.path for one in self.all() if not one.was_served]
        for path in found:
            remove(path)
        shutil.rmtree(self.blobs.with_name(self.blobs.name + NEW), ignore_errors=True)
        for name in (f"current{NEW}", "plain.json.tmp"):
            (self.path / name).unlink(missing_ok=True)
        return tuple(path.name for path in found)

    def outdated(self, keep: int) -> tuple[Generation, ...]:
        """Return those that go: all but the current one and the KEEP that were so last."""
        current = self.current
        others = [one for one in self.all() if current is None or one.number != current.number]
        others.sort(key=lambda one: (one.known_meta.floor if one.known_meta else "", one.number))
        return tuple(others[: max(0, len(others) - keep)])


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
