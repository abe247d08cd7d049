"""What a stage shows: its plain file, or a generation's changes over its base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zc.lockfile import LockError
from ZODB.TimeStamp import TimeStamp
from ZODB.utils import p64, z64

from zmount.server.broken import DAMAGES
from zmount.server.changes_file import ChangesFile
from zmount.server.freezing import SwapRefused
from zmount.server.frozen import FrozenFile
from zmount.server.generation import BrokenGeneration, Generation, Meta
from zmount.server.generations import Generations
from zmount.server.marks import OID_RANGE
from zmount.server.overlay import Overlay
from zmount.server.settings import StageSettings


def open_content(
    settings: StageSettings, generations: Generations, generation: Generation | None
) -> Any:
    """Open GENERATION, or the plain file where that is None; a FileStorage in any case.

    :raises BrokenGeneration: its files are not those that were put there
    """
    floor = floor_of(generations, generation)
    if generation is None:
        return _plain(settings, generations, floor)
    try:
        meta = generation.meta
        base = FrozenFile(
            generation.base,
            bytes.fromhex(meta.base_tid),
            meta.base_end,
            base_blobs(settings, generations, generation),
        )
    except DAMAGES as why:
        raise BrokenGeneration(
            f"{generation.path}: this is not a generation of {settings.name}: {why}"
        ) from None
    try:
        return _overlay(settings, generation, meta, base, floor)
    except DAMAGES as why:
        base.close()
        raise BrokenGeneration(f"{generation.changes}: it cannot be opened: {why}") from None
    except BaseException:
        base.close()
        raise


def _plain(settings: StageSettings, generations: Generations, floor: bytes) -> ChangesFile:
    if any(floor) and not settings.path.exists():
        raise BrokenGeneration(f"{settings.path}: it is not there any more")
    blob_dir = None if settings.blob_dir is None else str(settings.blob_dir)
    try:
        plain = ChangesFile(str(settings.path), blob_dir=blob_dir, **dict(settings.options))
    except DAMAGES as why:
        raise BrokenGeneration(f"{settings.path}: it cannot be opened: {why}") from None
    # clients have oids in stock; after a swap they must not be those of production's objects
    plain.set_max_oid(p64(1 << OID_RANGE))
    if generations.plain_first_oid:  # an undo has put it back
        plain.set_max_oid(bytes.fromhex(generations.plain_first_oid))
    if any(floor):
        plain._ts = max(plain._ts, TimeStamp(floor))
    return plain


def _overlay(
    settings: StageSettings, generation: Generation, meta: Meta, base: FrozenFile, floor: bytes
) -> Overlay:
    if not generation.changes.exists():  # FileStorage would make an empty one
        raise BrokenGeneration("it is not there any more")
    content = Overlay(
        generation.changes,
        base,
        blob_dir=None if settings.blob_dir is None else generation.changes_blobs,
        floor=floor,
        packed=bytes.fromhex(meta.packed) or z64,
        note_pack=generation.note_pack,
    )
    content.set_max_oid(bytes.fromhex(meta.first_oid) or z64)
    return content


def floor_of(generations: Generations, generation: Generation | None) -> bytes:
    """Return the tid that nobody who reads GENERATION may read as of before; z64: there is none.

    It is that of the swap, or of a later moment at which the stage was broken.
    """
    own = generations.plain_floor if generation is None else generation.known_floor
    return max(bytes.fromhex(own), bytes.fromhex(generations.broken_floor)) or z64


def open_earlier(
    settings: StageSettings, generations: Generations, *, is_broken: bool
) -> tuple[Generation | None, Any]:
    """Open what was current before; return which that is (None: the plain file), and it.

    Where what is current IS_BROKEN, that is the latest that can be opened.

    :raises SwapRefused, BrokenGeneration: there is none any more
    """
    if not is_broken:
        previous = generations.previous()
        if previous is None and not settings.path.exists():
            raise SwapRefused(f"{settings.path}: it is not there any more")
        return previous, open_content(settings, generations, previous)
    reason = ""
    for one in (*generations.latest(), None):
        if one is None and not settings.path.exists():
            break
        try:
            return one, open_content(settings, generations, one)
        except (LockError, *DAMAGES) as why:
            reason = f": {why}"
    raise SwapRefused(f"{settings.name}: nothing from before can be opened{reason}")


def base_blobs(
    settings: StageSettings, generations: Generations, generation: Generation
) -> Path | None:
    """Return where the blobs of GENERATION's base are."""
    if settings.blob_dir is None:
        return None
    copied = generation.path / "base-blobs"
    return copied if copied.exists() else generations.blobs
