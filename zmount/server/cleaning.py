"""Removes what a stage does not keep any more: generations, and blobs that only they needed.

It may be ended at any moment, and begins anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ZODB.blob import FilesystemHelper
from ZODB.POSException import POSKeyError

from zmount.filestorage.pack_files import write_durably
from zmount.server.generation import GONE, NEW, Generation
from zmount.server.generations import Generations
from zmount.server.large_files import removal
from zmount.server.slow_work import GiveWay, in_child, paced

NOTHING = "[]"  # a list of dropped blobs that is empty


def clean_up(generations: Generations, keep: int, content: Any, give_way: GiveWay) -> None:
    """Remove generations and blobs that are not to be kept; CONTENT is that of the current one.

    :param give_way: is called now and then; what it raises ends this, to be begun anew later
    :raises OSError, StorageError: it cannot be done
    """
    current = generations.current
    if current is not None and generations.blobs.exists():
        earlier = _not_packed_since(generations, current)
        if earlier is None:
            _list_dropped(generations.blobs, current, content.base, give_way)
        elif not current.dropped_blobs.exists():
            write_durably(current.dropped_blobs, earlier)
    for one in generations.outdated(keep):
        one.path.rename(one.path.with_name(one.path.name + GONE))
    for path in generations.gone():
        for _ in paced(_removal(path), give_way):
            pass
    kept = generations.all()
    if not kept or not generations.blobs.exists():
        return
    listed = kept[0].dropped_blobs
    if listed.exists() and listed.read_text() != NOTHING:
        task = (str(generations.blobs), str(kept[0].dropped_blobs))
        in_child(__name__, "drop", *task, give_way=give_way)


def _removal(path: Path) -> Iterator[None]:
    """Remove the directory PATH step by step."""
    for directory, inner, names in os.walk(path, topdown=False):
        for name in names:
            yield from removal(Path(directory, name))
            yield
        for name in inner:
            each = Path(directory, name)
            each.unlink() if each.is_symlink() else each.rmdir()
            yield
    path.rmdir()


def _not_packed_since(generations: Generations, current: Generation) -> str | None:
    """Return the list of the generation before, if that is true of the current one, too.

    Only a pack drops blobs, and it puts another file in production's place. None: the
    pool is to be looked through.
    """
    here = current.meta
    others = {
        meta.base_tid: (meta.base_inode, one)
        for one in generations.all()
        if one != current and (meta := one.known_meta) is not None and meta.has_blobs
    }
    if not here.has_blobs:
        return None
    if not others:
        return NOTHING  # the pool is as new as the generation
    inode, latest = others[max(others)]
    if inode != here.base_inode or not latest.dropped_blobs.exists():
        return None
    return latest.dropped_blobs.read_text()


def _list_dropped(pool: Path, current: Generation, base: Any, give_way: GiveWay) -> None:
    """Note which blobs of the pool only older generations than the current one can need."""
    found = current.dropped_blobs.with_suffix(NEW)
    in_child(__name__, "list_unlinked", str(pool), str(found), give_way=give_way)
    names_of = FilesystemHelper(str(pool), "automatic")
    dropped = []
    for name in paced(json.loads(found.read_text()), give_way):
        oid, tid = names_of.splitBlobFilename(str(pool / name))
        try:  # production may have dropped it after this generation's moment
            base.loadSerial(oid, tid)
        except POSKeyError:
            dropped.append(name)
    write_durably(current.dropped_blobs, json.dumps(dropped))
    found.unlink()


def list_unlinked(pool: str, path: str) -> int:
    """Write into the file PATH which blobs in POOL have no other link; return how many."""
    dropped = []
    for directory, _, names in paced(os.walk(pool)):
        dropped += [
            f"{directory}/{name}"
            for name in names
            if name.endswith(".blob") and os.lstat(f"{directory}/{name}").st_nlink == 1
        ]
    Path(path).write_text(json.dumps([os.path.relpath(each, pool) for each in dropped]))
    return len(dropped)


def drop(pool: str, path: str) -> int:
    """Remove the blobs in POOL that the file PATH names; return how many."""
    names = json.loads(Path(path).read_text())
    for name in paced(names):
        Path(pool, name).unlink(missing_ok=True)
    write_durably(Path(path), NOTHING)
    return len(names)
