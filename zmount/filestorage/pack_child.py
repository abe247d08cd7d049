"""The process that does the work of a pack, started by ``packer.py``.

It runs outside the storage's process: a ZEO server goes on answering while it
counts and copies. Orders come as lines of JSON on the standard input, answers
go as lines of JSON to the standard output. It dies with the process that
started it.

Orders, after the job itself::

    {"order": "catch up", "end": N}   copy what was committed until N
    {"order": "index"}                save the new file's index, list the blobs that go
    {"order": "finish", "end": N}     the last catch up; all is on the disk after it

    {"order": "references", "oids": [...]}  what was asked for, in hexadecimal; or why not

Answers: ``copied``, ``caught up``, ``indexed``, ``finished``; ``outdated`` (it starts
again, and ``copied`` will come once more); ``redundant`` and ``nothing`` (nothing to
free); ``references?``, for a record that only the storage's own ``referencesf`` may be
able to read; ``error``.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from zmount.errors import PackRefused, ZMountError
from zmount.filestorage.cores import chosen
from zmount.filestorage.foreign import foreign_oids
from zmount.filestorage.index import write_index
from zmount.filestorage.output import Measure, Output
from zmount.filestorage.pack_files import PackFiles, write_json
from zmount.filestorage.packing import Job, Packing, SurveyOutdated
from zmount.filestorage.pickles import REFUSED, safe_referencesf
from zmount.filestorage.source import open_source

NextOrder = Callable[[], dict[str, Any]]
Behind = Callable[[Callable[[], Any]], Any]  # does it at a lower priority

ATTEMPTS = 4  # surveys, while commits keep on bringing garbage back
INDEX_ENTRY = 9  # bytes in an index for each object
NICE = 19  # so much behind the server whose storage it is
PROGRESS_S = 0.2  # seconds between two notes of the progress


def main() -> None:
    """Do what the standard input says."""
    orders = _orders()
    work = ThreadPoolExecutor(1, "work", initializer=_step_back)
    try:
        _pack(orders.get, lambda step: work.submit(step).result())
    except ZMountError as why:
        _answer("error", message=str(why), kind=type(why).__name__)
    except OSError as why:
        what = f"{why.filename}: {why.strerror}" if why.filename else str(why.strerror or why)
        _answer("error", message=what, errno=why.errno)
    orders.get()  # the input's end


def _step_back() -> None:
    """Let this thread, and those that it starts, run when nobody else wants to.

    The thread that finishes stays as it is: the commit lock is held then.
    """
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _orders() -> queue.SimpleQueue[dict[str, Any]]:
    """Return the orders to come; at the input's end the process ends, whatever it does."""
    orders: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            orders.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, name="orders", daemon=True).start()
    return orders


def _answer(answer: str, **values: Any) -> None:
    sys.stdout.write(json.dumps({"answer": answer, **values}) + "\n")
    sys.stdout.flush()


def _pack(next_order: NextOrder, behind: Behind) -> None:
    order = next_order()
    files = PackFiles(Path(order["path"]))
    progress = _Progress(files)
    job = Job(
        path=files.path,
        end=order["end"],
        stop=order["stop"],
        gc=order["gc"],
        keep_deleted=order["keep_deleted"],
        wants_blobs=order["wants_blobs"],
    )
    if job.gc:
        foreign = behind(lambda: foreign_oids(files.path, progress.note))
        job = replace(job, foreign=foreign)
    referencesf = _Asking(next_order)
    for _ in range(ATTEMPTS):
        with ExitStack() as stack:
            source = stack.enter_context(open_source(job.path, job.end))
            packing = Packing(source, job, progress.note, referencesf)
            attempt = _Attempt(packing, files, stack, progress, behind)
            if not behind(attempt.copy):
                return
            try:
                attempt.serve(next_order)
                return
            except SurveyOutdated as why:
                _answer("outdated", message=str(why))
                job = packing.job
    _answer("error", message="commits keep on referring to garbage; try when it is calmer")


def _need_space(packing: Packing, progress: _Progress) -> None:
    """Check that there is room for the new file.

    :raises PackRefused: there is not
    """
    path, end = packing.job.path, packing.job.end
    found = os.statvfs(path.parent)
    free = found.f_bavail * found.f_frsize
    if free > end:
        return  # it cannot get larger than the old one
    progress.note("measure", 0, end)
    measured = Packing(packing.source, packing.job, progress.note, packing.referencesf)
    measured.survey()
    output = Measure()
    measured.frees_nothing(output)
    measured.write_rest(output)
    need = measured.size + INDEX_ENTRY * measured.report().objects_after
    if free < need:
        from rich.filesize import decimal

        raise PackRefused(
            f"{path}: the packed file needs {decimal(need)} beside this one, "
            f"{decimal(free)} are free",
            hint="make room, or pack up to a later time: --days 0",
        )


class _Asking:
    """ZODB's ``referencesf``, and the parent's for what that cannot read."""

    def __init__(self, next_order: NextOrder) -> None:
        self._next_order = next_order
        self._lock = threading.Lock()  # two threads walk

    def __call__(self, record: bytes) -> list[bytes]:
        try:
            return safe_referencesf(record)
        except REFUSED as why:
            with self._lock:
                _answer("references?", record=b64encode(record).decode())
                oids = self._next_order()["oids"]
            if isinstance(oids, str):
                raise ValueError(f"{why}; {oids}") from None
            return [bytes.fromhex(oid) for oid in oids]


class _Attempt:
    """A survey and its copy, which serves as long as the survey holds."""

    def __init__(
        self,
        packing: Packing,
        files: PackFiles,
        stack: ExitStack,
        progress: _Progress,
        behind: Behind,
    ) -> None:
        self.packing = packing
        self.files = files
        self.stack = stack
        self.progress = progress
        self.behind = behind
        self.gone: set[int] = set()  # oids of blobs that go with all their revisions

    def copy(self) -> bool:
        """Survey and copy; return whether there is anything to free."""
        packing = self.packing
        packing.survey()
        if packing.is_redundant:
            _answer("redundant", **asdict(packing.report()))
            return False
        _need_space(packing, self.progress)
        self.output = self.stack.enter_context(Output(self.files.new, self.files.path))
        if packing.frees_nothing(self.output):
            _answer("nothing", **asdict(packing.report()))
            return False
        packing.write_rest(self.output)
        self.output.sync()
        _answer("copied", end=packing.job.end)
        return True

    def serve(self, next_order: NextOrder) -> None:
        """Do as told, until the pack is finished.

        :raises SurveyOutdated: it must be made again
        """
        while (order := next_order())["order"] != "finish":
            if order["order"] == "index":
                self.behind(self._index)
            else:
                pairs = self.behind(partial(self._catch_up, order["end"]))
                _answer("caught up", pairs=pairs, end=order["end"])
        pairs = self._catch_up(order["end"])
        if not self.gone.isdisjoint(pairs[::2]):
            self._list_blobs()
        _answer("finished", pairs=pairs, size=self.packing.size)

    def _catch_up(self, end: int) -> list[int]:
        done = self.packing.job.end
        self.progress.note("catch up", done, end)
        if end == done:
            return []
        source = self.stack.enter_context(open_source(self.files.path, end))
        pairs = self.packing.catch_up(source, self.output).tolist()
        self.output.sync()
        return pairs

    def _index(self) -> None:
        packing, files = self.packing, self.files
        if packing.job.gc:
            packing.must_keep(foreign_oids(files.path, self.progress.note))
        self.progress.note("index", 0, packing.size)
        write_index(
            files.new_index,
            packing.found.table,
            packing.size,
            flag=chosen().mark.MOVED,
            like=files.path,
        )
        self._list_blobs()
        _answer("indexed", **asdict(packing.report()))

    def _list_blobs(self) -> None:
        self.gone.clear()
        if not self.packing.job.wants_blobs:
            return
        with self.files.blobs.open("wb") as file:
            for line in self.packing.removed_blobs():
                file.write(line)
                if len(line) == 17:
                    self.gone.add(int(line, 16))
            file.flush()
            os.fsync(file.fileno())


class _Progress:
    """Notes the progress in a file, now and then."""

    def __init__(self, files: PackFiles) -> None:
        self.files = files
        self.started = time.time()
        self._phase = ""
        self._noted = 0.0

    def note(self, phase: str, done: int, total: int) -> None:
        now = time.monotonic()
        if phase == self._phase and now - self._noted < PROGRESS_S:
            return
        self._phase, self._noted = phase, now
        write_json(
            self.files.progress,
            {
                "phase": phase,
                "done": done,
                "total": total,
                "pid": os.getpid(),
                "started": self.started,
            },
        )
