"""The blobs of a stage's bases: one directory of hard links for all generations.

A blob's file is named by object and transaction, and never changes, so one more
does no harm to an older generation. The first time all of production's are
linked, by a child process; later those of the transactions since.

What production has dropped since has no other link. Only older generations may
need it; a list in the newer one says what goes with them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from ZODB.blob import FilesystemHelper, is_blob_record
from ZODB.utils import p64

from zmount.filestorage.blob_copy import BlobCopy
from zmount.filestorage.child import command, environment
from zmount.filestorage.cores import chosen
from zmount.filestorage.format import FIRST, new_cursor, words
from zmount.filestorage.references import References
from zmount.filestorage.source import BATCH, Source, batches, last_tid, open_source
from zmount.server.freezing import Moment, SwapRefused
from zmount.server.generations import NEW, Generation, Meta

NICE = 10
PAUSE_S = 0.002  # after each directory of many: production's commits come first
PIECE = 50  # links, or removals, between two pauses


def take_blobs(blob_dir: Path, pool: Path, new: Generation, now: Moment, since: Meta | None) -> int:
    """Let POOL have the blobs in BLOB_DIR that the base of NEW needs; return how many are new.

    :param now: the moment of NEW's base
    :param since: what the pool is complete up to; None: nothing
    :raises SwapRefused: it cannot be done
    """
    if since is None or not pool.exists():
        beside = pool.with_name(pool.name + NEW)
        for unused in (beside, pool):  # no generation needs them
            shutil.rmtree(unused, ignore_errors=True)
        until = str(int.from_bytes(now.tid, "big"))
        count = _in_child("link", str(blob_dir), str(beside), until)
        beside.rename(pool)
        return count
    source_of = FilesystemHelper(str(blob_dir), "automatic")
    pool_of = FilesystemHelper(str(pool), "automatic")
    count = 0
    with open_source(new.base, now.end) as source:
        for oid, tid in blobs_since(source, since):
            target = Path(pool_of.getBlobFilename(oid, tid))
            if target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):  # a check would find it: it is not there
                os.link(source_of.getBlobFilename(oid, tid), target)
                count += 1
            if count % PIECE == 0:
                time.sleep(PAUSE_S)
    return count


def blobs_since(source: Source, since: Meta) -> Iterator[tuple[bytes, bytes]]:
    """Yield oid and tid of the blobs that SOURCE's transactions after SINCE name."""
    core, references = chosen(), References(source)
    cursor = new_cursor(_end_of(source, since))
    found = words(BATCH)
    fields = core.records.RECORD_FIELDS
    for batch, count in batches(source, cursor):
        number_of_blobs = core.check.blobs(source.buffer, batch, count, found)
        for each in found[:number_of_blobs]:
            at = (each >> core.check.DOUBTS) * fields
            position = batch[at + core.records.PLACE]
            if is_blob_record(references.data(position)):
                yield p64(batch[at]), bytes(source.buffer[position + 8 : position + 16])


def _end_of(source: Source, since: Meta) -> int:
    """Return where the first transaction after SINCE begins."""
    tid = int(since.base_tid, 16)
    is_same = source.inode == since.base_inode and since.base_end <= source.end
    if is_same and last_tid(source, since.base_end) == tid:
        return since.base_end
    # packed since: from the end back to that transaction
    records = chosen().records
    cursor = new_cursor(source.end)
    batch = words(BATCH * records.RECORD_FIELDS)
    while records.scan_back(source.buffer, cursor, FIRST, tid, batch):
        pass
    position: int = cursor[records.POSITION]
    return position


def list_dropped(pool: Path, new: Generation) -> None:
    """Note in NEW which blobs of POOL only older generations can need."""
    if pool.exists():
        _in_child("list", str(pool), str(new.path / "dropped-blobs"))


def drop(pool: Path, generation: Generation) -> None:
    """Remove from POOL what older generations than this one needed; they are gone."""
    dropped = generation.path / "dropped-blobs"
    if pool.exists() and dropped.exists():
        _in_child("drop", str(pool), str(dropped))


def _in_child(*task: str) -> int:
    """Do TASK in a process of its own, which dies with this one; return its count."""
    done = subprocess.run(
        command(__name__, "main", *task),
        capture_output=True,
        text=True,
        env=environment(),
    )
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise SwapRefused(f"the blobs cannot be linked: {said[-1]}")
    return int(json.loads(done.stdout))


def main(task: str, *words_: str) -> None:
    """What the child does."""
    os.nice(NICE)
    tasks: dict[str, Callable[..., int]] = {"link": _link, "list": _list, "drop": _drop}
    print(json.dumps(tasks[task](*words_)))  # noqa: T201


def _link(blob_dir: str, pool: str, until: str) -> int:
    copy = BlobCopy(Path(blob_dir), Path(pool), int(until))
    for _ in copy.run():
        time.sleep(PAUSE_S)
    return copy.linked + copy.copied


def _list(pool: str, path: str) -> int:
    dropped = []
    for directory, _, names in os.walk(pool):
        dropped += [
            f"{directory}/{name}"
            for name in names
            if name.endswith(".blob") and os.lstat(f"{directory}/{name}").st_nlink == 1
        ]
        time.sleep(PAUSE_S)
    Path(path).write_text(json.dumps([os.path.relpath(each, pool) for each in dropped]))
    return len(dropped)


def _drop(pool: str, path: str) -> int:
    names = json.loads(Path(path).read_text())
    for number, name in enumerate(names, 1):
        Path(pool, name).unlink(missing_ok=True)
        if number % PIECE == 0:
            time.sleep(PAUSE_S)
    Path(path).unlink()
    return len(names)
