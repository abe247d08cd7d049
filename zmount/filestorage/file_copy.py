"""Copying files in the cheapest way that the file systems offer, and flushing them.

Sharing the blocks (a reflink: XFS, Btrfs, bcachefs) costs nothing; else the
kernel copies (copy_file_range); where it does not, it is read and written.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from collections.abc import Callable

FICLONE = 0x40049409  # linux/fs.h
PIECE = 1 << 20  # bytes for one request to the disk: a commit's fsync waits for few of them
BEHIND = 2 * PIECE  # bytes that the disk may be behind: enough that it always has work
SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h: start, do not wait
SYNC_FILE_RANGE_ALL = 7  # start, and wait until it is written
# what says that this way is not there, and not that the disk is full or broken
UNSUPPORTED = {
    errno.EBADF,
    errno.EINVAL,
    errno.ENOSYS,
    errno.ENOTTY,
    errno.EOPNOTSUPP,
    errno.EPERM,
    errno.ETXTBSY,
    errno.EXDEV,
}

Progress = Callable[[int], None]


class Pace:
    """Keeps the disk at work on a file that grows, and memory from running ahead of it.

    Small pieces, few of them on their way: what waits in the disk's queue, or in memory,
    is waited for by every commit to a storage on the same file system. Nothing is safe
    before fsync; whether the disk took it shows there.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._started = 0  # the disk was asked for all before it
        self._waited = 0  # and has it until here
        try:
            call = ctypes.CDLL(None, use_errno=True).sync_file_range
        except (OSError, AttributeError):  # Linux only; fsync does it all later
            self._call = None
        else:
            call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
            self._call = call

    def written(self, end: int) -> None:
        """The file has been written until END; wait, if the disk is far behind."""
        if self._call is None or end - self._started < PIECE:
            return
        self._call(self._descriptor, self._started, end - self._started, SYNC_FILE_RANGE_WRITE)
        self._started = end
        if end - BEHIND > self._waited:
            upto = end - BEHIND
            self._call(self._descriptor, self._waited, upto - self._waited, SYNC_FILE_RANGE_ALL)
            self._waited = upto


class EndsEarly(Exception):
    """The file that is copied is shorter than expected; the argument says how long it is."""


def share_blocks(source: int, target: int, size: int) -> bool:
    """Let the file TARGET be the first SIZE bytes of SOURCE, without copying; or return False.

    :raises OSError: no space, or the disk is broken
    """
    try:
        fcntl.ioctl(target, FICLONE, source)
    except OSError as why:
        if why.errno not in UNSUPPORTED:
            raise
        return False
    if os.fstat(target).st_size < size:
        raise EndsEarly(os.fstat(target).st_size)
    os.ftruncate(target, size)
    return True


def copy_bytes(source: int, target: int, size: int, progress: Progress = lambda done: None) -> str:
    """Copy the first SIZE bytes of the file SOURCE to TARGET, which is empty; say how.

    :param progress: called with the bytes that are done
    :raises OSError: no space, or the disk is broken
    :raises EndsEarly: SOURCE has not so many
    """
    done, pace = 0, Pace(target)
    while done < size:
        try:
            copied = os.copy_file_range(source, target, min(PIECE, size - done), done, done)
        except OSError as why:
            if why.errno not in UNSUPPORTED:
                raise
            break
        if not copied:
            break  # the end; or a file system that has only zeros to give in this way
        done += copied
        pace.written(done)
        progress(done)
    if done == size:
        return "copied by the kernel"
    _read_and_write(source, target, (done, size), pace, progress)
    return "read and written"


def _read_and_write(
    source: int, target: int, part: tuple[int, int], pace: Pace, progress: Progress
) -> None:
    done, size = part
    buffer = memoryview(bytearray(min(PIECE, size - done)))
    while done < size:
        count = os.preadv(source, [buffer[: size - done]], done)
        if not count:
            raise EndsEarly(done)
        written = 0
        while written < count:
            written += os.pwrite(target, buffer[written:count], done + written)
        done += count
        pace.written(done)
        progress(done)


def sync_file_system(descriptor: int) -> None:
    """Flush all of the file system that DESCRIPTOR is on: many new files and directories at once.

    :raises OSError: the disk is broken
    """
    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):
        os.sync()
        return
    if syncfs(descriptor):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
