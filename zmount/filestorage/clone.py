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
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from zmount.errors import (
    ApplyRefused,
    CorruptFile,
    Locked,
    StorageUnreadable,
    StorageUnwritable,
)
from zmount.filestorage.blob_copy import BlobCopy
from zmount.filestorage.file_copy import EndsEarly, copy_bytes, share_blocks, sync_file_system
from zmount.filestorage.index import SavedIndex, own_as, read_index, sync_directory, write_buckets
from zmount.filestorage.index_check import judge
from zmount.filestorage.index_content import content_of
from zmount.filestorage.reindex import index_path
from zmount.filestorage.source import Source, committed_end, last_end, last_tid, open_source

PART = ".zmount-clone"  # in the target: what is not finished yet
MOVING = ".moving"  # in PART: its parts are being moved into place
LOCK = ".lock"
BLOBS = "blobs"
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
    watch = time.perf_counter()
    path, directory = Path(path), Path(directory)
    with _opened(path):
        pass  # before anything is made
    with _target(directory, path) as part:
        try:
            made = _attempts(path, part, Path(blob_dir) if blob_dir else None, progress)
            _move_into_place(part, made)
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
        with _opened(path) as source:
            attempt = _Attempt(source, part, blob_dir, progress)
            try:
                made = attempt.run(is_exact=is_exact)
            except CorruptFile:
                if is_exact or attempt.saved is not None:
                    raise
                is_exact = True  # perhaps the end was not what it looked like
                made = None
            if made is not None and _is_same_file(source):
                return made
        _empty(part)
    raise StorageUnreadable(
        f"{path}: another file was put in its place {ATTEMPTS} times while it was copied",
        hint="clone it when no pack runs",
    )


@contextmanager
def _opened(path: Path) -> Iterator[Source]:
    """Open PATH; stock's pack renames two files, and for a moment there is none."""
    for _ in range(RENAMES):
        if path.exists():
            break
        time.sleep(0.05)
    with open_source(path) as source:
        yield source


def _is_same_file(source: Source) -> bool:
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
            own_as(file.fileno(), self.source.path)
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
        space = os.statvfs(self.part)
        if self.blob_dir and self.blob_dir.stat().st_dev != self.part.stat().st_dev:
            size += blobs.bytes_to_copy()
        size += self.source.end // INDEX_SHARE + INDEX_BYTES
        free = space.f_bavail * space.f_frsize
        if free < size:
            raise StorageUnwritable(
                f"{self.part.parent}: the clone of {self.source.path} needs {_mb(size)} MB, "
                f"{_mb(free)} MB are free",
                hint="free some space, or clone to another volume",
            )

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
        objects = write_buckets(index, content.position, content.buckets, source.path)
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
        descriptor = os.open(self.part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            sync_file_system(descriptor)
        finally:
            os.close(descriptor)


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f}"


# The target


@contextmanager
def _target(directory: Path, path: Path) -> Iterator[Path]:
    """Yield the directory for what is not finished; in the end it is gone in any case.

    A new directory belongs to the owner of the data file PATH.
    """
    is_new = _made(directory, path.stat())
    part = directory / PART
    try:
        descriptor = _claimed(part)
        try:
            _recover(part)
            _must_be_empty(directory)
            yield part
        finally:
            _clear(part)
            os.close(descriptor)
    except BaseException:
        if is_new:
            with suppress(OSError):
                directory.rmdir()
        raise


def _made(directory: Path, like: os.stat_result) -> bool:
    """Make DIRECTORY, if it is not there; return whether it was made."""
    try:
        directory.mkdir()
        if os.geteuid() == 0:
            os.chown(directory, like.st_uid, like.st_gid)
    except FileExistsError:
        if directory.is_dir():
            return False
        raise ApplyRefused(f"{directory}: a directory is needed here, not a file") from None
    except OSError as why:
        raise StorageUnwritable(f"{directory}: cannot be made: {why.strerror}") from None
    return True


def _claimed(part: Path) -> int:
    """Make the directory PART and lock it; the lock ends with this process."""
    lock = part / LOCK
    try:
        part.mkdir(mode=0o700, exist_ok=True)
        if part.is_symlink() or part.stat().st_uid not in (0, os.geteuid()):
            raise ApplyRefused(f"{part} is another user's, or a link")
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(lock, flags, 0o600)
    except OSError as why:
        raise StorageUnwritable(f"{part}: cannot be made: {why.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_same = os.path.samestat(os.fstat(descriptor), lock.stat())
    except (BlockingIOError, FileNotFoundError):
        is_same = False
    except OSError:
        is_same = True  # a file system without locks
    if not is_same:
        os.close(descriptor)
        raise Locked(f"{part.parent}: another clone is being made here")
    return descriptor


def _recover(part: Path) -> None:
    """Remove what a clone left that was killed, also what it had moved into place already."""
    moving = part / MOVING
    if moving.exists():
        name = Path(moving.read_text()).name
        if not (part.parent / name).exists():
            _remove(part.parent / BLOBS)
            _remove(part.parent / f"{name}.index")
    _empty(part)


def _must_be_empty(directory: Path) -> None:
    there = sorted(each.name for each in directory.iterdir() if each.name != PART)
    if there:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise ApplyRefused(
            f"{directory} is not empty: there is {there[0]}{more}",
            hint="name a directory that is empty or not there yet",
        )


def _move_into_place(part: Path, made: Cloned) -> None:
    """Move everything from PART to the directory that it is in, the data file last."""
    name, directory = made.data_fs.name, part.parent
    moving = part / MOVING
    moving.write_text(name)
    sync_directory(part)
    for each in (BLOBS, f"{name}.index"):
        if (part / each).exists():
            (part / each).rename(directory / each)
    sync_directory(directory)
    (part / name).rename(directory / name)
    sync_directory(directory)
    sync_directory(directory.parent)


def _empty(part: Path) -> None:
    for each in part.iterdir():
        if each.name != LOCK:
            _remove(each)


def _clear(part: Path) -> None:
    with suppress(OSError):
        _empty(part)
        (part / LOCK).unlink()
        part.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
