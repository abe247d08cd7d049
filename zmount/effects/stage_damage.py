"""What is damaged in a stage's files, as far as can be seen without reading all of them."""

from __future__ import annotations

from pathlib import Path

from zmount.errors import StorageUnreadable
from zmount.filestorage.source import last_tid, open_source
from zmount.server.generation import BrokenGeneration, Generation
from zmount.server.generations import Generations


def why_broken(generations: Generations, plain: Path) -> str:
    """Return why the stage cannot show what it should; "" if nothing is seen.

    :param plain: its file from before the first swap
    :raises PermissionError: that may not be seen
    """
    try:
        current = generations.current
    except BrokenGeneration as why:
        return str(why)
    if current is not None:
        return damage_of(current)
    if generations.plain_floor and not plain.exists():
        return f"{plain}: it is not there any more"
    return ""


def damage_of(one: Generation) -> str:
    """Return what is damaged in the files of ONE; "" if nothing is seen.

    :raises PermissionError: that may not be seen
    """
    try:
        _must_be_sound(one)
    except PermissionError:
        raise
    except (BrokenGeneration, StorageUnreadable) as why:
        return str(why)
    except OSError as why:
        return f"{why.filename or one.path}: {why.strerror}"
    return ""


def _must_be_sound(one: Generation) -> None:
    """Check that the files of ONE are there, and are what its meta.json says."""
    try:
        meta = one.meta
        tid = int(meta.base_tid, 16)
    except (ValueError, TypeError) as why:
        raise BrokenGeneration(f"{one.path / 'meta.json'}: it is damaged: {why}") from None
    for path in (one.base, one.changes):
        path.open("rb").close()
    with open_source(one.base, meta.base_end) as source:
        if source.end != meta.base_end or last_tid(source, meta.base_end) != tid:
            raise BrokenGeneration(f"{one.base}: it is not production's file of that time")
    if one.changes.stat().st_size:
        with open_source(one.changes):
            pass
