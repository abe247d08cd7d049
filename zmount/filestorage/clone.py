"""A consistent copy of a storage that may be in use, as it was at one moment.

1. find where its last complete transaction ends, from there on by its index
2. copy the data file up to there; at the same time make its index, and take the
   blobs of all transactions up to there
3. if a pack has put another file in its place meanwhile, begin again: it may
   have removed blobs
4. flush all to the disk
5. move everything into place, the data file last: where there is no data file,
   there is no clone

No lock is taken and nothing of the storage is changed. What is not finished lies
in a directory of its own in the target; the next clone to there removes it.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from zmount.errors import CorruptFile, StorageUnreadable, StorageUnwritable
from zmount.filestorage.blob_copy import BlobCopy
from zmount.filestorage.clone_target import BLOBS, clone_target, empty, move_into_place
from zmount.filestorage.file_copy import EndsEarly, copy_bytes, share_blocks, sync_file_system
from zmount.filestorage.index import SavedIndex, own_as, read_index, write_buckets
from zmount.filestorage.index_check import judge
from zmount.filestorage.index_content import content_of
from zmount.filestorage.reindex import index_path
from zmount.filestorage.source import Source, committed_end, last_end, last_tid, open_source

ATTEMPTS = 5
RENAMES = 4  # how often to look for a file that is not there
INDEX_SHARE = 64  # an index takes a part of the data file, seldom more than a 64th ...
INDEX_BYTES = 1 << 20  # ... and this

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloned:
    """What was made.

    ``blob_dir`` is None where the storage has no blobs. ``last_tid`` is that of
    the last transaction. ``how`` says in which way the data file came to be;
    ``index`` whether its index was made from the saved one or by a scan.
    """

    data_fs: Path
    blob_dir: Path | None
    size_bytes: int
    last_tid: int
    objects: int
    how: str
    index: str
    blobs_linked: int
    blobs_copied: int
    blob_bytes_copied: int
    seconds: float = 0


def clone(
    path: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    *,
    blob_dir: str | os.PathLike[str] | None = None,
    progress: Progress = lambda phase, done, of: None,
) -> Cloned:
    """Copy the storage in the data file PATH, and its blobs, into DIRECTORY.

    :param directory: is made, or is empty
    :param progress: called with a phase, what is done and how much there is;
        from several threads
    :raises ApplyRefused: there is something in DIRECTORY
    :raises StorageUnreadable: PATH is no FileStorage, or damaged
    :raises StorageUnwritable: no space, no permission
    :raises Locked: another clone is being made in DIRECTORY
    """
    path, blobs = Path(path), Path(blob_dir) if blob_dir else None
    return made_in(Path(directory), path, lambda part: _attempts(path, part, blobs, progress))


def made_in(directory: Path, path: Path, make: Callable[[Path], Cloned]) -> Cloned:
    """Let MAKE fill a directory with a clone of PATH, and move all into DIRECTORY, PATH's owner's.

    :raises ApplyRefused: there is something in DIRECTORY
    :raises StorageUnreadable: PATH is no FileStorage
    :raises StorageUnwritable: no space, no permission
    :raises Locked: another clone is being made in DIRECTORY
    """
    watch = time.perf_counter()
    with opened(path) as source:  # before anything is made
        assert source.descriptor is not None
        like = os.fstat(source.descriptor)
    with clone_target(directory, like) as part:
        try:
            made = make(part)
            move_into_place(part, made.data_fs.name)
        except OSError as why:
            raise StorageUnwritable(
                f"{directory}: the clone of {path} cannot be made: {why.strerror}"
                + (f" ({why.filename})" if why.filename else "")
            ) from None
    return replace(
        made,
        data_fs=directory / made.data_fs.name,
        blob_dir=directory / BLOBS if made.blob_dir else None,
        seconds=time.perf_counter() - watch,
    )


def _attempts(path: Path, part: Path, blob_dir: Path | None, progress: Progress) -> Cloned:
    is_exact = False
    for _ in range(ATTEMPTS):
        with opened(path) as source:
            attempt = _Attempt(source, part, blob_dir, progress)
            try:
                made = attempt.run(is_exact=is_exact)
            except CorruptFile:
                if is_exact or attempt.saved is not None:
                    raise
                is_exact = True  # perhaps the end was not what it looked like
                made = None
            if made is not None and is_same_file(source):
                return made
        empty(part)
    raise StorageUnreadable(
        f"{path}: another file was put in its place {ATTEMPTS} times while it was copied",
        hint="clone it when no pack runs",
    )


@contextmanager
def opened(path: Path) -> Iterator[Source]:
    """Open PATH; stock's pack renames two files, and for a moment there is none.

    :raises StorageUnreadable: it is no FileStorage, or not there
    """
    for _ in range(RENAMES):
        try:
            path.stat()
        except FileNotFoundError:
            time.sleep(0.05)
        except OSError:
            break  # what opens it says why
        else:
            break
    with open_source(path) as source:
        yield source


def is_same_file(source: Source) -> bool:
    """True if the file that SOURCE is still has its name: no pack has put another in its place."""
    try:
        return source.path.stat().st_ino == source.inode
    except FileNotFoundError:
        return False


class _Attempt:
    """One attempt to copy the file that SOURCE is."""

    def __init__(
        self, source: Source, part: Path, blob_dir: Path | None, progress: Progress
    ) -> None:
        self.source = source
        self.part = part
        self.blob_dir = blob_dir if blob_dir is not None and blob_dir.is_dir() else None
        self.progress = progress
        self.saved: SavedIndex | None = None
        self.is_cancelled = False

    def run(self, *, is_exact: bool) -> Cloned:
        end = self._find_end(is_exact)
        tid = last_tid(self.source, end)
        blobs = BlobCopy(source=self.blob_dir or self.part, target=self.part / BLOBS, until=tid)
        target = self.part / self.source.path.name
        with target.open("xb", buffering=0) as file, ThreadPoolExecutor(1, "index") as thread:
            own_as(file.fileno(), self._descriptor)
            is_shared = share_blocks(self._descriptor, file.fileno(), end)
            self._need_space(0 if is_shared else end, blobs)
            beside = thread.submit(self._beside, end, blobs)
            how = "blocks shared" if is_shared else self._copy(file.fileno(), end, beside)
            self.progress("flush", 0, end)
            os.fsync(file.fileno())
            self.progress("flush", end, end)
            objects = beside.result()
        if self.blob_dir is not None:
            self._sync()
        return Cloned(
            data_fs=target,
            blob_dir=blobs.target if self.blob_dir else None,
            size_bytes=end,
            last_tid=tid,
            objects=objects,
            how=how,
            index="saved index" if self.saved else "scan",
            blobs_linked=blobs.linked,
            blobs_copied=blobs.copied,
            blob_bytes_copied=blobs.copied_bytes,
        )

    @property
    def _descriptor(self) -> int:
        assert self.source.descriptor is not None  # it was opened
        return self.source.descriptor

    def _find_end(self, is_exact: bool) -> int:
        """Return where the last complete transaction ends; find the saved index if it is right."""
        source = self.source
        with suppress(StorageUnreadable):
            saved = read_index(index_path(source.path))
            if saved is not None:
                judged = judge(source, saved)
                if not judged.why_not:
                    self.saved = saved
                    return judged.end
        end = None if is_exact else last_end(source)
        return committed_end(source) if end is None else end

    def _need_space(self, size: int, blobs: BlobCopy) -> None:
        if self.blob_dir and self.blob_dir.stat().st_dev != self.part.stat().st_dev:
            size += blobs.bytes_to_copy()
        need_space(self.part, self.source.path, size + room_for_index(self.source.end))

    def _copy(self, target: int, end: int, beside: Future[int]) -> str:
        def report(done: int) -> None:
            self.progress("copy", done, end)
            if beside.done():
                beside.result()  # why go on, if that has failed?

        try:
            return copy_bytes(self._descriptor, target, end, report)
        except EndsEarly as why:
            raise CorruptFile(
                self.source.path, why.args[0], f"the file ends here, not at {end}"
            ) from None
        except BaseException:
            self.is_cancelled = True
            raise

    def _beside(self, end: int, blobs: BlobCopy) -> int:
        """Make the index and take the blobs; return how many objects there are."""
        source, name = self.source, self.source.path.name
        index = self.part / f"{name}.index"
        content = content_of(source, end, self.saved, self._report_index)
        objects = write_buckets(index, content.position, content.buckets, self.part / name)
        if not objects:
            index.unlink()  # FileStorage would stumble over it
        if self.blob_dir is not None:
            for done in blobs.run():
                self.progress("blobs", done, 0)
                if self.is_cancelled:
                    break
        return objects + content.later

    def _report_index(self, done: int, of: int) -> None:
        if self.is_cancelled:
            raise InterruptedError(errno.EINTR, "interrupted")
        self.progress("index", done, of)

    def _sync(self) -> None:
        self.progress("flush", 0, 0)
        sync_blobs(self.part)


def need_space(part: Path, path: Path, size: int) -> None:
    """Check that there is room for so many bytes of a clone of PATH in PART.

    :raises StorageUnwritable: there is not
    """
    space = os.statvfs(part)
    free = space.f_bavail * space.f_frsize
    if free < size:
        raise StorageUnwritable(
            f"{part.parent}: the clone of {path} needs {_mb(size)} MB, {_mb(free)} MB are free",
            hint="free some space, or clone to another volume",
        )


def room_for_index(end: int) -> int:
    """Return how many bytes the index of a data file that ends at END may take."""
    return end // INDEX_SHARE + INDEX_BYTES


def sync_blobs(part: Path) -> None:
    """Flush the blobs in PART to the disk, with all else on its file system."""
    descriptor = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_file_system(descriptor)
    finally:
        os.close(descriptor)


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f}"
