"""Takes those blobs of a storage that its records name, and no others."""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from ZODB.blob import LAYOUTS, auto_layout_select
from ZODB.utils import p64

from zmount.errors import UnreadableRecord
from zmount.filestorage.blob_copy import LAYOUT, BlobCopy
from zmount.filestorage.cores import chosen
from zmount.filestorage.format import MAX_TID, new_cursor, words
from zmount.filestorage.pickles import is_blob
from zmount.filestorage.references import References
from zmount.filestorage.source import BATCH, Source, batches

EVERY = 64  # blobs between two reports of progress


def blob_keys(source: Source, end: int, progress: Callable[[int], None]) -> array[int]:
    """Return oid and tid of each blob that a record of SOURCE up to END names.

    :raises CorruptFile: the file is damaged
    """
    core, references = chosen(), References(source)
    fields, found, keys = core.records.RECORD_FIELDS, words(BATCH), array("Q")
    for batch, count in batches(source, new_cursor(), end):
        number = core.check.blobs(source.buffer, batch, count, found)
        for word in found[:number]:
            at = (word >> core.check.DOUBTS) * fields
            place = batch[at + core.records.PLACE]
            if word & core.check.BLOB or _is_blob(references, place):
                tid = int.from_bytes(source.buffer[place + 8 : place + 16], "big")
                keys.extend((batch[at], tid))
        if count:
            progress(batch[fields * (count - 1) + core.records.PLACE])
    return keys


def _is_blob(references: References, place: int) -> bool:
    try:
        return is_blob(references.data(place))
    except UnreadableRecord:
        return False  # a check of the storage tells of it


class NamedBlobs(BlobCopy):
    """Links or copies the blobs with these KEYS from the directory SOURCE to TARGET.

    Several of them may have one TARGET, which gets the LAYOUT of the first.
    """

    def __init__(self, source: Path, target: Path, keys: array[int], layout: str) -> None:
        super().__init__(source=source, target=target, until=MAX_TID)
        self._keys = keys
        self._from = LAYOUTS[layout_of(source)]
        self._to = LAYOUTS[layout]
        self._layout = layout
        self._like = source.stat()
        self._made: set[str] = set()

    def run(self) -> Iterator[int]:
        """Link or copy the blobs; yield how many are done, now and then.

        :raises OSError: no space, no permission
        """
        self._prepare()
        for number, (old, new) in enumerate(self._names()):
            self._make_directory(os.path.dirname(new))  # noqa: PTH120
            source, target = f"{self.source}/{old}", f"{self.target}/{new}"
            try:
                self._take(source, target)
            except FileExistsError:
                continue  # two records of one transaction name it
            except FileNotFoundError:
                if os.path.lexists(source):
                    raise
                # a pack removes it, which the caller will see, or it was missing before
            if number % EVERY == 0:
                yield self.linked + self.copied
        yield self.linked + self.copied

    def bytes_to_copy(self) -> int:
        """Return the size of the blobs: what copying takes."""
        total = 0
        for old, _ in self._names():
            with suppress(FileNotFoundError):
                total += Path(self.source, old).stat().st_size
        return total

    def _names(self) -> Iterator[tuple[str, str]]:
        for at in range(0, len(self._keys), 2):
            oid, tid = p64(self._keys[at]), p64(self._keys[at + 1])
            yield self._from.getBlobFilePath(oid, tid), self._to.getBlobFilePath(oid, tid)

    def _prepare(self) -> None:
        """Make the directory and its mark, if the blobs of another one have not."""
        self._make_directory("")
        mark = self.target / LAYOUT
        if not mark.exists():
            mark.write_text(self._layout)
            self._own(mark)

    def _make_directory(self, path: str) -> None:
        if path in self._made:
            return
        if path:
            self._make_directory(os.path.dirname(path))  # noqa: PTH120
        self._made.add(path)
        target = self.target / path
        try:
            target.mkdir(mode=0o700)
        except FileExistsError:
            return
        target.chmod(stat.S_IMODE(self._like.st_mode))
        self._own(target)

    def _own(self, path: Path) -> None:
        if os.geteuid() == 0:
            os.chown(path, self._like.st_uid, self._like.st_gid)


def layout_of(directory: Path) -> str:
    """Return the layout of a directory of blobs, as ZODB finds it out."""
    layout: str = auto_layout_select(str(directory))
    return layout if layout in LAYOUTS else "bushy"
