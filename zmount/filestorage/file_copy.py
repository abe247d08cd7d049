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
WRITE_BACK = 1 << 23  # bytes between two requests to begin with the disk
SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h: start, do not wait
SYNC_FILE_RANGE_ALL = 7  # start, and wait until it is written
BUFFER = 1 << 20
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

    The disk begins at once, and memory does not run ahead of it: what piles up there
    would be waited for by every commit to a storage on it.

    :param progress: called with the bytes that are done
    :raises OSError: no space, or the disk is broken
    :raises EndsEarly: SOURCE has not so many
    """
    done, start_writing, wait_written = 0, write_back(), write_back(SYNC_FILE_RANGE_ALL)
    while done < size:
        try:
            copied = os.copy_file_range(source, target, min(WRITE_BACK, size - done), done, done)
        except OSError as why:
            if why.errno not in UNSUPPORTED:
                raise
            break
        if not copied:
            break  # the end; or a file system that has only zeros to give in this way
        start_writing(target, done, copied)
        if done:  # the disk is one piece behind, and no more
            wait_written(target, max(0, done - WRITE_BACK), min(WRITE_BACK, done))
        done += copied
        progress(done)
    if done == size:
        return "copied by the kernel"
    _read_and_write(source, target, done, size, progress)
    return "read and written"


def write_back(flags: int = SYNC_FILE_RANGE_WRITE) -> Callable[[int, int, int], None]:
    """Return a function (descriptor, offset, size) that starts writing to the disk.

    :param flags: of sync_file_range(2)
    """
    try:
        call = ctypes.CDLL(None, use_errno=True).sync_file_range
    except (OSError, AttributeError):
        return lambda descriptor, offset, size: None  # Linux only; fsync does it all later
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)

    def start(descriptor: int, offset: int, size: int) -> None:
        # a hint: whether it worked shows at fsync
        call(descriptor, offset, size, flags)

    return start


def _read_and_write(source: int, target: int, done: int, size: int, progress: Progress) -> None:
    buffer = memoryview(bytearray(min(BUFFER, size - done)))
    while done < size:
        count = os.preadv(source, [buffer[: size - done]], done)
        if not count:
            raise EndsEarly(done)
        written = 0
        while written < count:
            written += os.pwrite(target, buffer[written:count], done + written)
        done += count
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
