"""Python imports this at its start, where tests have put it on the path: a fault at a chosen call.

``ZMOUNT_TEST_FAULT`` says it: WHO (``server``, which opened the storage, or
``child``, the process of the pack), the NUMBER of the call into the operating
system that changes or opens a file, from 0, and WHAT happens instead: ``kill``
or ``kill-server`` (SIGKILL), ``fill`` (the disk is full now), ``limit`` (this
process can let no file grow any more) or ``cut`` (the Data.fs loses its end).
``ZMOUNT_TEST_FAULT_IN`` is the directory of the files that count; the call's
name is left in ``ZMOUNT_TEST_FAULT_LOG``. The server's calls count from its
audit event ``zmount.test.armed`` on, and those of its main thread only.
"""

import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

EVENTS = frozenset(
    "open fsync os.rename os.remove os.link os.rmdir os.mkdir os.chmod os.chown os.truncate"
    " mmap.__new__".split()
)
IS_CHILD = any("pack_child" in argument for argument in sys.orig_argv)


def watch(who: str, number: int, what: str) -> None:
    directory = os.environ["ZMOUNT_TEST_FAULT_IN"]
    calls = -1
    is_armed = IS_CHILD

    def count(event: str, arguments: tuple) -> None:
        nonlocal calls, is_armed
        if event == "zmount.test.armed":
            is_armed = True
        if not is_armed or event not in EVENTS:
            return
        if not IS_CHILD and threading.current_thread() is not threading.main_thread():
            return
        path = arguments[0] if arguments else ""
        if event == "mmap.__new__":
            path = directory if IS_CHILD else ""
        if not isinstance(path, (str, os.PathLike)) or not os.fspath(path).startswith(directory):
            return
        if changes_nothing(event, path):
            return
        calls += 1
        if calls == number:
            is_armed = False
            happen(what, f"{who} {event} {os.path.relpath(path, directory)}", directory)

    real_fsync = os.fsync

    def fsync(file: object) -> None:
        descriptor = file if isinstance(file, int) else file.fileno()
        count("fsync", (Path(f"/proc/self/fd/{descriptor}").readlink(),))
        real_fsync(file)

    os.fsync = fsync  # it is not reported, and a fault before it is worth trying
    sys.addaudithook(count)


def changes_nothing(event: str, path: str) -> bool:
    if event == "os.remove":
        return not Path(path).exists()
    return event == "open" and Path(path).is_dir()


def happen(what: str, name: str, directory: str) -> None:
    with Path(os.environ["ZMOUNT_TEST_FAULT_LOG"]).open("a") as log:
        log.write(name + "\n")
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "kill-server":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(20)  # it must not get that old
    elif what == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    elif what == "cut":
        data_fs = Path(directory, "Data.fs")
        os.truncate(data_fs, data_fs.stat().st_size // 3)
    elif what == "fill":
        fill(Path(directory, "filler"))


def fill(path: Path) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    size = 1 << 16
    while size:
        try:
            os.write(descriptor, bytes(size))
        except OSError:
            size //= 2
    os.close(descriptor)


if "ZMOUNT_TEST_FAULT" in os.environ:
    who, number, what = os.environ["ZMOUNT_TEST_FAULT"].split()
    if (who == "child") == IS_CHILD:
        watch(who, int(number), what)
