"""What apply and undo do to a host, as values.

A step says what shall be and what was, so it can be shown, written into the
journal and turned round. No step shows the text of a file: there may be
secrets in it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """The numbers of a user and a group of the operating system."""

    uid: int
    gid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FileState:
    """A file as it lies on the disk.

    ``text`` is UTF-8; other bytes are kept as surrogate escapes. ``owner`` is
    None for whoever runs zmount.
    """

    text: str = field(repr=False)
    mode: int
    owner: Owner | None = None

    @property
    def checksum(self) -> str:
        """The SHA-256 of the text, in hexadecimal."""
        return checksum(self.text)


def checksum(text: str) -> str:
    """Return the SHA-256 of TEXT, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteFile:
    """Put NEW at PATH; ``old`` is None where there is no file yet.

    ``processes`` are the names of those that read the file at their start.
    """

    path: PurePosixPath
    new: FileState
    old: FileState | None
    processes: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.old is None:
            return f"write {self.path} (new, mode {self.new.mode:04o})"
        return f"write {self.path}"

    def undo(self) -> WriteFile | RemoveFile:
        """Return the step that puts back what was."""
        if self.old is None:
            return RemoveFile(path=self.path, old=self.new, processes=self.processes)
        return WriteFile(path=self.path, new=self.old, old=self.new, processes=self.processes)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveFile:
    """Take away a file that zmount wrote and nobody needs any more."""

    path: PurePosixPath
    old: FileState
    processes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"remove {self.path}"

    def undo(self) -> WriteFile:
        """Return the step that puts the file back."""
        return WriteFile(path=self.path, new=self.old, old=None, processes=self.processes)


@dataclass(frozen=True, slots=True, kw_only=True)
class SetMode:
    """Correct who may read a file whose text is right."""

    path: PurePosixPath
    new: FileState
    old: FileState
    processes: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.new.mode == self.old.mode:
            return f"set the owner of {self.path}"
        return f"set the mode of {self.path} from {self.old.mode:04o} to {self.new.mode:04o}"

    def undo(self) -> SetMode:
        """Return the step that sets back the mode and owner."""
        return SetMode(path=self.path, new=self.old, old=self.new, processes=self.processes)


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeDirectory:
    """Make a directory whose parent exists by then."""

    path: PurePosixPath
    mode: int = 0o755
    owner: Owner | None = None

    def __str__(self) -> str:
        return f"make directory {self.path}" + (
            f" (mode {self.mode:04o})" if self.mode != 0o755 else ""
        )

    def undo(self) -> RemoveDirectory:
        """Return the step that removes it, unless something is in it."""
        return RemoveDirectory(path=self.path, mode=self.mode, owner=self.owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveDirectory:
    """Remove a directory if it is empty: what lies in one is never removed."""

    path: PurePosixPath
    mode: int = 0o755
    owner: Owner | None = None

    def __str__(self) -> str:
        return f"remove directory {self.path} if it is empty"

    def undo(self) -> MakeDirectory:
        """Return the step that makes it again."""
        return MakeDirectory(path=self.path, mode=self.mode, owner=self.owner)


FileStep: TypeAlias = "WriteFile | RemoveFile | SetMode"
DirectoryStep: TypeAlias = "MakeDirectory | RemoveDirectory"
Step: TypeAlias = "FileStep | DirectoryStep"
