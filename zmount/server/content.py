"""What a stage shows: its plain file, or a generation's changes over its base."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ZODB.POSException import StorageError
from ZODB.TimeStamp import TimeStamp
from ZODB.utils import p64, z64

from zmount.server.changes_file import ChangesFile
from zmount.server.frozen import FrozenFile, NotFrozen
from zmount.server.generations import BrokenGeneration, Generation, Generations
from zmount.server.overlay import Overlay
from zmount.server.settings import StageSettings

OID_RANGE = 40  # bits: staging has so many oids for itself, and others after each swap


def open_content(
    settings: StageSettings, generations: Generations, generation: Generation | None
) -> Any:
    """Open GENERATION, or the plain file where that is None; a FileStorage in any case.

    :raises BrokenGeneration: its files are not those that were put there
    """
    if generation is None:
        blob_dir = None if settings.blob_dir is None else str(settings.blob_dir)
        plain = ChangesFile(str(settings.path), blob_dir=blob_dir, **dict(settings.options))
        # clients have oids in stock; after a swap they must not be those of production's objects
        plain.set_max_oid(p64(1 << OID_RANGE))
        if generations.plain_floor:  # an undo has put it back
            plain.set_max_oid(bytes.fromhex(generations.plain_first_oid))
            floor = TimeStamp(bytes.fromhex(generations.plain_floor))
            plain._ts = max(plain._ts, floor)
        return plain
    try:
        meta = generation.meta
        base = FrozenFile(
            generation.base,
            bytes.fromhex(meta.base_tid),
            meta.base_end,
            base_blobs(settings, generations, generation),
        )
    except (OSError, ValueError, TypeError, StorageError, NotFrozen) as why:
        raise BrokenGeneration(
            f"{generation.path}: this is not a generation of {settings.name}: {why}; "
            "zmount swap-stage makes another one"
        ) from None
    try:
        content = Overlay(
            generation.changes,
            base,
            blob_dir=None if settings.blob_dir is None else generation.changes_blobs,
            floor=bytes.fromhex(meta.floor) or z64,
            packed=bytes.fromhex(meta.packed) or z64,
            note_pack=generation.note_pack,
        )
        content.set_max_oid(bytes.fromhex(meta.first_oid) or z64)
    except BaseException:
        base.close()
        raise
    return content


def base_blobs(
    settings: StageSettings, generations: Generations, generation: Generation
) -> Path | None:
    """Return where the blobs of GENERATION's base are."""
    if settings.blob_dir is None:
        return None
    copied = generation.path / "base-blobs"
    return copied if copied.exists() else generations.blobs
