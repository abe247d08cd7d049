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
    GENERATIONS/broken.json               clients saw that the stage is broken

Before the first swap there is no ``current``, and the stage is its plain file; after
an undo of the first swap it is that again, and ``current`` names ``plain``. What is
half built ends in ``.new``, what is being removed in ``.gone``.
"""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from zmount.filestorage.index import sync_directory
from zmount.filestorage.pack_files import read_json, write_durably
from zmount.server.generation import GONE, NAME, NEW, PLAIN, BrokenGeneration, Generation, remove

PLAIN_NAME = "plain"  # what "current" names then


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

    def note_plain(self, floor: bytes, first_oid: bytes, before: int) -> None:
        """Note on the disk what is so when the plain file comes back: see Meta."""
        noted = {"floor": floor.hex(), "first_oid": first_oid.hex(), "before": before}
        write_durably(self.plain_note, json.dumps(noted))

    def note_broken(self, floor: bytes) -> None:
        """Note on the disk that clients saw FLOOR while the stage was broken."""
        write_durably(self.path / "broken.json", json.dumps({"floor": floor.hex()}))

    @property
    def broken_floor(self) -> str:
        """What clients have seen while the stage was broken; empty: it never was."""
        return str(read_json(self.path / "broken.json").get("floor", ""))

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
        name = self.link
        if name is None:
            if os.path.lexists(self.current_link):
                raise BrokenGeneration(f"{self.current_link}: this is not a symbolic link")
            self._must_be_unswapped()
            return None
        if name == PLAIN_NAME:
            if self.plain_note.exists() and not self.plain_floor:
                raise BrokenGeneration(f"{self.plain_note}: it is damaged")
            return None
        one = self._named(name)
        if one is None:
            raise BrokenGeneration(
                f"{self.current_link}: it names {name}, which is not there; {self._choice}"
            )
        return one

    @property
    def link(self) -> str | None:
        """What ``current`` names; None: it is no symbolic link, or not there."""
        try:
            return str(self.current_link.readlink())
        except PermissionError:
            raise
        except OSError:
            return None

    def _named(self, name: str | None) -> Generation | None:
        if name is None or not NAME.fullmatch(name) or not (self.path / name).is_dir():
            return None
        return Generation(self.path / name)

    def latest(self) -> tuple[Generation, ...]:
        """Return all, the one that was current last first.

        One that is damaged was so until what came after it. Where that is not known
        either, the number decides, which only an undo makes wrong.
        """
        until: dict[int, str] = {}
        floor = ""
        for one in self.all():
            floor = max(floor, one.known_floor)
            until[one.number] = max(until.get(one.number, ""), one.known_floor or floor)
            meta = one.known_meta
            if meta is not None and meta.before != PLAIN:
                until[meta.before] = max(until.get(meta.before, ""), meta.floor)
        now = self._named(self.link)
        return tuple(
            sorted(
                self.all(),
                key=lambda one: (one == now, until[one.number], one.number),
                reverse=True,
            )
        )

    @property
    def presumed(self) -> Generation | None:
        """What is most likely current where that cannot be known; None: the plain file."""
        served = (one for one in self.latest() if one.was_served)
        return None if self.link == PLAIN_NAME else next(served, None)

    def _must_be_unswapped(self) -> None:
        """Check that no generation has been current yet."""
        served = self._served()
        if served:
            raise BrokenGeneration(
                f"{self.current_link}: it is missing, though {served[-1]} was current; "
                + self._choice
            )

    def _served(self) -> list[str]:
        return [one.path.name for one in self.all() if one.was_served]

    @property
    def _choice(self) -> str:
        names = (*reversed(self._served()), PLAIN_NAME)
        return f"make it a symbolic link to one of {', '.join(names)}"

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
        if NAME.fullmatch(self.link or ""):  # it may be there again some day
            numbers.append(Generation(self.path / str(self.link)).number)
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

    def make_current(self, one: Generation | None) -> str | None:
        """Let ONE be the current one from now on; None: the plain file.

        Return what :meth:`take_back` is to take back. What bears the link's name and
        is none is kept, by another name. After an OSError the one before is it.
        """
        link = self.link
        earlier = self._named(link)
        if earlier is not None and not earlier.was_served:
            earlier.note_served()
        back = PLAIN_NAME if link is None and not self._served() else link
        try:
            if link is None and os.path.lexists(self.current_link):
                _set_aside(self.current_link)
            self._point_to(PLAIN_NAME if one is None else one.path.name)
            sync_directory(self.path)
        except OSError:
            self.take_back(back)
            raise
        if one is not None:
            with suppress(OSError):  # the next one to open it, or to leave it, does it
                one.note_served()
        return back

    def take_back(self, link: str | None) -> None:
        """Let ``current`` name LINK again, which nobody knows was not so meanwhile."""
        if self.link is None and os.path.lexists(self.current_link):
            return  # it is foreign, and not even set aside
        if link is None:
            self.current_link.unlink(missing_ok=True)
        else:
            self._point_to(link)
        with suppress(OSError):
            sync_directory(self.path)

    def make_room_for_control(self) -> None:
        """Let what bears the name of the control socket, and is none, have another one."""
        if os.path.lexists(self.control) and not self.control.is_socket():
            _set_aside(self.control)

    def _point_to(self, name: str) -> None:
        beside = self.path / f"current{NEW}"
        beside.unlink(missing_ok=True)
        beside.symlink_to(name)
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

    @property
    def is_sound(self) -> bool:
        """Whether it can be known which one is current."""
        try:
            self.current  # noqa: B018
        except BrokenGeneration:
            return False
        return True

    def gone(self) -> tuple[Path, ...]:
        """Return what is being removed."""
        return tuple(path for path in self._directories() if path.name.endswith(GONE))

    def outdated(self, keep: int) -> tuple[Generation, ...]:
        """Return those that go: all but the current one and the KEEP that were so last.

        What has something in it that is not ours stays.
        """
        current = self.current
        others = [one for one in self.latest() if one != current]
        return tuple(one for one in others[keep:] if not one.foreign_names())


def _set_aside(path: Path) -> None:
    """Give what is not ours another name."""
    number = 1
    while os.path.lexists(aside := path.with_name(f"{path.name}.foreign-{number}")):
        number += 1
    path.rename(aside)
