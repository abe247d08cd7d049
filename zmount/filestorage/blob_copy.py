"""The blobs of a storage in a directory of their own, as they were at a transaction.

A blob's file is named by the transaction that wrote it, and never changes. So
all that are not later are taken, by hard links where that is possible. Among
them may be some that no record names any more, which a pack was killed before it
removed. To leave these out, every record would have to be read.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from zmount.filestorage.file_copy import copy_bytes, share_blocks

BLOB = re.compile(r"0x([0-9a-f]{16})\.blob")
LAYOUT = ".layout"  # ZODB.blob.LAYOUT_MARKER
DEEPEST = 10  # directories: the layout "bushy" has 8
# what a hard link can fail with where a copy can succeed
NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.EACCES}


@dataclass(slots=True)
class BlobCopy:
    """What is done: blobs linked and copied, and the bytes of those copied.

    ``directory`` is the one, relative, that was made last, with all that is in it.
    """

    source: Path
    target: Path
    until: int  # the tid of the last transaction that counts
    linked: int = 0
    copied: int = 0
    copied_bytes: int = 0
    directory: str = ""

    def run(self) -> Iterator[int]:
        """Link or copy the blobs; yield how many are done, now and then.

        :raises OSError: no space, no permission
        """
        for directory, names in self._directories():
            self._make(directory)
            for name in names:
                source = f"{self.source}/{directory}/{name}"
                try:
                    self._take(source, f"{self.target}/{directory}/{name}")
                except FileNotFoundError:
                    if os.path.lexists(source):
                        raise
                    # a pack removes it: one of before this clone began, or the caller will see
            self.directory = directory
            yield self.linked + self.copied

    def bytes_to_copy(self) -> int:
        """Return the size of all blobs: what copying takes."""
        total = 0
        for directory, names in self._directories():
            for name in names:
                with suppress(FileNotFoundError):
                    total += Path(self.source, directory, name).stat().st_size
        return total

    def _directories(self) -> Iterator[tuple[str, list[str]]]:
        """Yield each directory, relative, and the blobs in it that count; the outer ones first."""
        todo = ["."]
        while todo:
            directory = todo.pop()
            try:
                with os.scandir(f"{self.source}/{directory}") as entries:
                    found = list(entries)
            except FileNotFoundError:
                continue  # it became empty, and was removed
            yield directory, [entry.name for entry in found if self._counts(entry)]
            if directory.count("/") < DEEPEST:
                todo += (
                    f"{directory}/{entry.name}"
                    for entry in found
                    if entry.name.startswith("0x") and entry.is_dir()
                )

    def _counts(self, entry: os.DirEntry[str]) -> bool:
        named = BLOB.fullmatch(entry.name)
        if named is None:
            return entry.name == LAYOUT
        return int(named[1], 16) <= self.until and entry.is_file()

    def _make(self, directory: str) -> None:
        target = Path(self.target, directory)
        target.mkdir(mode=0o700)
        try:
            found = Path(self.source, directory).stat()
        except FileNotFoundError:
            return  # removed meanwhile: there is nothing in it
        if stat.S_IMODE(found.st_mode) != 0o700:
            target.chmod(stat.S_IMODE(found.st_mode))
        if os.geteuid() == 0 and (found.st_uid, found.st_gid) != (0, 0):
            os.chown(target, found.st_uid, found.st_gid)

    def _take(self, source: str, target: str) -> None:
        if not source.endswith(LAYOUT) and not Path(source).is_symlink():
            try:
                os.link(source, target)
            except OSError as why:
                if why.errno not in NO_LINK:
                    raise
            else:
                self.linked += 1
                return
        self._copy(Path(source), Path(target))

    def _copy(self, source: Path, target: Path) -> None:
        with source.open("rb", buffering=0) as old, target.open("xb", buffering=0) as new:
            found = os.fstat(old.fileno())
            if not share_blocks(old.fileno(), new.fileno(), found.st_size):
                copy_bytes(old.fileno(), new.fileno(), found.st_size)
            os.fchmod(new.fileno(), stat.S_IMODE(found.st_mode))
            os.utime(new.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
            if os.geteuid() == 0:
                os.fchown(new.fileno(), found.st_uid, found.st_gid)
        if source.name != LAYOUT:
            self.copied += 1
            self.copied_bytes += found.st_size
