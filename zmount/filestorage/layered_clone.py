"""A consistent copy of a storage in two data files, as one data file.

1. copy the earlier file up to where it counts
2. append the later file's complete transactions, with the positions that they have now
3. make the index, and take the blobs that the records of both name
4. if a pack has put another later file in its place, or both were removed, begin again
5. flush all to the disk, and move everything into place, the data file last

No lock is taken and nothing of the storage is changed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from io import BufferedWriter, FileIO
from pathlib import Path

from zmount.errors import CorruptFile, StorageUnreadable
from zmount.filestorage.clone import (
    ATTEMPTS,
    Cloned,
    is_same_file,
    made_in,
    need_space,
    opened,
    room_for_index,
    sync_blobs,
)
from zmount.filestorage.clone_target import BLOBS, empty
from zmount.filestorage.file_copy import PIECE, EndsEarly, Pace, copy_bytes, share_blocks
from zmount.filestorage.format import FIRST
from zmount.filestorage.index import own_as, write_buckets
from zmount.filestorage.index_content import content_of
from zmount.filestorage.joining import LastPlaces, append
from zmount.filestorage.layers import Layers, must_be_base
from zmount.filestorage.named_blobs import NamedBlobs, blob_keys, layout_of
from zmount.filestorage.source import Source, committed_end, last_tid, open_source

Progress = Callable[[str, int, int], None]


def clone_layers(
    layers: Layers,
    directory: str | os.PathLike[str],
    *,
    name: str = "Data.fs",
    progress: Progress = lambda phase, done, of: None,
) -> Cloned:
    """Copy the storage that LAYERS are, and its blobs, into DIRECTORY as the data file NAME.

    :param directory: is made, or is empty
    :param progress: called with a phase, what is done and how much there is;
        from several threads
    :raises ApplyRefused: there is something in DIRECTORY
    :raises StorageUnreadable: one of the files is damaged, not there, or another one
    :raises StorageUnwritable: no space, no permission
    :raises Locked: another clone is being made in DIRECTORY
    """
    return made_in(
        Path(directory), layers.changes, lambda part: _attempts(layers, part / name, progress)
    )


def _attempts(layers: Layers, target: Path, progress: Progress) -> Cloned:
    for _ in range(ATTEMPTS):
        with open_source(layers.base, layers.base_end) as base, opened(layers.changes) as changes:
            must_be_base(base, layers)
            made = _Attempt(layers, base, changes, target, progress).run()
            if is_same_file(base) and is_same_file(changes):
                return made
        empty(target.parent)
    raise StorageUnreadable(
        f"{layers.changes}: another file was put in its place {ATTEMPTS} times while it was copied",
        hint="clone it when no pack runs",
    )


class _Attempt:
    """One attempt to copy BASE and CHANGES into the data file TARGET."""

    def __init__(
        self, layers: Layers, base: Source, changes: Source, target: Path, progress: Progress
    ) -> None:
        self.layers = layers
        self.base = base
        self.changes = changes
        self.target = target
        self.progress = progress
        self.is_cancelled = False

    def run(self) -> Cloned:
        changes_end = committed_end(self.changes)
        end = self.layers.base_end + changes_end - FIRST
        blobs = list(self._blobs(changes_end))
        before = LastPlaces(
            self.base, self.layers.base_tid, lambda done, of: self.progress("index", done, of)
        )
        with self.target.open("xb", buffering=0) as file, ThreadPoolExecutor(1, "blobs") as thread:
            own_as(file.fileno(), _descriptor(self.changes))
            is_shared = share_blocks(_descriptor(self.base), file.fileno(), self.base.end)
            self._need_space(end - self.base.end if is_shared else end, blobs)
            beside = thread.submit(self._take, blobs)
            how = "blocks shared" if is_shared else self._copy(file, beside)
            self._append(file, before, changes_end)
            self.progress("flush", 0, end)
            os.fsync(file.fileno())
            self.progress("flush", end, end)
            beside.result()
        objects = self._write_index(before, end)
        if blobs:
            self.progress("flush", 0, 0)
            sync_blobs(self.target.parent)
        return Cloned(
            data_fs=self.target,
            blob_dir=self.target.parent / BLOBS if blobs else None,
            size_bytes=end,
            last_tid=last_tid(self.changes, changes_end) or self.layers.base_tid,
            objects=objects,
            how=how,
            index="scan" if before.is_scanned else "saved index",
            blobs_linked=sum(each.linked for each in blobs),
            blobs_copied=sum(each.copied for each in blobs),
            blob_bytes_copied=sum(each.copied_bytes for each in blobs),
        )

    def _blobs(self, changes_end: int) -> Iterator[NamedBlobs]:
        """Yield what takes the blobs of each file that may have some."""
        parts = (
            (self.layers.base_blobs, self.base, self.base.end),
            (self.layers.changes_blobs, self.changes, changes_end),
        )
        layout = ""
        for directory, source, end in parts:
            if directory is not None and directory.is_dir():
                layout = layout or layout_of(directory)
                keys = blob_keys(source, end, self._told("look for blobs", end))
                yield NamedBlobs(directory, self.target.parent / BLOBS, keys, layout)

    def _told(self, phase: str, of: int) -> Callable[[int], None]:
        return lambda done: self.progress(phase, done, of)

    def _need_space(self, size: int, blobs: list[NamedBlobs]) -> None:
        part = self.target.parent
        device = part.stat().st_dev
        size += sum(each.bytes_to_copy() for each in blobs if each.source.stat().st_dev != device)
        need_space(part, self.changes.path, size + room_for_index(self.base.end))

    def _copy(self, file: FileIO, beside: Future[None]) -> str:
        def report(done: int) -> None:
            self.progress("copy", done, self.base.end)
            if beside.done():
                beside.result()  # why go on, if that has failed?

        try:
            return copy_bytes(_descriptor(self.base), file.fileno(), self.base.end, report)
        except EndsEarly as why:
            reason = f"the file ends here, not at {self.base.end}"
            raise CorruptFile(self.base.path, why.args[0], reason) from None
        except BaseException:
            self.is_cancelled = True
            raise

    def _append(self, file: FileIO, before: LastPlaces, changes_end: int) -> None:
        pace = Pace(file.fileno())

        def report(done: int, of: int) -> None:
            self.progress("append", done, of)
            pace.written(self.base.end + done - FIRST)

        try:
            file.seek(self.base.end)
            target = BufferedWriter(file, PIECE)
            append(self.changes, changes_end, target, before, report)
            target.flush()
            target.detach()
        except BaseException:
            self.is_cancelled = True
            raise

    def _take(self, blobs: list[NamedBlobs]) -> None:
        for each in blobs:
            for done in each.run():
                self.progress("blobs", done, 0)
                if self.is_cancelled:
                    return

    def _write_index(self, before: LastPlaces, end: int) -> int:
        """Write the index of all; return how many objects there are."""
        index = self.target.with_name(f"{self.target.name}.index")
        with open_source(self.target, end) as source:
            content = content_of(
                source, end, before.saved, lambda done, of: self.progress("index", done, of)
            )
            objects = write_buckets(index, content.position, content.buckets, self.target)
        if not objects:
            index.unlink()  # FileStorage would stumble over it
        return objects + content.later


def _descriptor(source: Source) -> int:
    assert source.descriptor is not None  # it was opened
    return source.descriptor
