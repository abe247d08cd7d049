"""Which storages are packed how, in which order, and which are not.

Pure: judges only by what was seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zmount.effects.process_table import Owner
from zmount.topology.references import data_files, is_in_memory
from zmount.topology.storages import PACKER, Storage

Way = Literal["ZEO", "file", "Zope"]
_AS_FILE = frozenset(("filestorage", "zlibstorage", "serverzlibstorage"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PackWish:
    """What the operator wants: ``names`` of storages, none for all of the host.

    ``days`` of history are kept, None: as each storage's policy says; garbage
    too where ``keeps_garbage``.
    """

    names: tuple[str, ...] = ()
    days: float | None = None
    keeps_garbage: bool = False
    is_dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A storage as it is right now.

    ``data_fs`` is the file to pack; of a stage that ``is_swapped`` (it shows
    production's content) the file of what was changed since. ``size_bytes`` is its
    size, None where there is none; ``disk`` the number of the file system of it.
    ``unseen`` says why it cannot be looked at, and ``unseen_hint`` what to do.
    ``is_served``: a ZEO server runs and serves it. ``writer`` is who has its Data.fs
    open. ``zope`` is the running instance that has, "" for none; ``is_known_there``:
    zmount knows a Manager's password of it. ``outdated`` is the process that opens it,
    if that has not read its files as they are now.
    """

    storage: Storage
    data_fs: Path | None = None
    is_swapped: bool = False
    size_bytes: int | None = None
    disk: int = 0
    unseen: str = ""
    unseen_hint: str = "as root"
    is_served: bool = False
    writer: Owner | None = None
    zope: str = ""
    is_known_there: bool = False
    outdated: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackJob:
    """A storage to pack; ``asks_to_keep``: its packer must be told to keep garbage.

    ``data_fs`` is None for a storage that has no Data.fs.
    """

    storage: Storage
    way: Way
    days: float
    gc: bool
    size_bytes: int | None
    disk: int
    data_fs: Path | None = None
    asks_to_keep: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A storage that is not packed, and why; a failure where it should have been."""

    storage: Storage
    why: str
    hint: str = ""
    is_failure: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PackPlan:
    """``lanes`` are packed side by side, the jobs of each one after the other."""

    lanes: tuple[tuple[PackJob, ...], ...]
    left: tuple[Left, ...] = ()


def plan_pack(seen: Iterable[Seen], wish: PackWish) -> PackPlan:
    """Return what to do about each storage that was SEEN.

    A disk is a lane, for two packs of one disk only hinder each other. Its
    small storages come first: what they free may be what a large one needs.
    """
    lanes: dict[int, list[PackJob]] = {}
    left: list[Left] = []
    for each in seen:
        found = _plan_one(each, wish)
        if isinstance(found, PackJob):
            lanes.setdefault(found.disk, []).append(found)
        else:
            left.append(found)
    return PackPlan(
        lanes=tuple(
            tuple(sorted(jobs, key=lambda job: job.size_bytes or 0)) for jobs in lanes.values()
        ),
        left=tuple(left),
    )


def _plan_one(seen: Seen, wish: PackWish) -> PackJob | Left:
    storage = seen.storage
    idle = _why_not_at_all(seen)
    if idle is not None:
        is_named = storage.name in wish.names
        return Left(storage=storage, why=idle[0], hint=idle[1], is_failure=is_named)
    if seen.unseen:
        return Left(storage=storage, why=seen.unseen, hint=seen.unseen_hint, is_failure=True)
    way = _way(seen)
    if isinstance(way, tuple):
        return Left(storage=storage, why=way[0], hint=way[1], is_failure=True)
    # what a stage's base refers to is in no file that is packed here: it never collects
    gc = storage.pack.gc and not wish.keeps_garbage and not seen.is_swapped
    must_be_told = not gc and not seen.is_swapped and way != "file"
    if must_be_told and (refusal := _why_garbage_could_go(seen)) is not None:
        return Left(storage=storage, why=refusal[0], hint=refusal[1], is_failure=True)
    return PackJob(
        storage=storage,
        way=way,
        days=storage.pack.days if wish.days is None else wish.days,
        gc=gc,
        size_bytes=seen.size_bytes,
        disk=seen.disk,
        data_fs=seen.data_fs,
        asks_to_keep=must_be_told and packer(storage) == PACKER,
        notes=_notes(seen, way),
    )


def packer(storage: Storage) -> str:
    """Return the packer that STORAGE's FileStorage names, "" for its own."""
    if storage.backend is None:
        return storage.options.text("packer")
    inner = (each for each in storage.backend.walk() if each.type == "filestorage")
    return next((str(each.get("packer") or "") for each in inner), "")


def _why_not_at_all(seen: Seen) -> tuple[str, str] | None:
    """Return why the storage is none to pack, and a hint; None if it is one."""
    storage = seen.storage
    types = {each.type for each in storage.backend.walk()} if storage.backend is not None else set()
    if "demostorage" in types:
        return "a pack of a DemoStorage can stop its whole server", "pack what is in it by itself"
    if is_in_memory(storage):
        return "it is in memory only", ""
    if not data_files(storage):
        if seen.is_served:
            return None
        kind = storage.backend.type if storage.backend is not None else "filestorage"
        return f"<{kind}> has no Data.fs to pack", "its own tools pack it"
    if seen.size_bytes is None and not seen.unseen:
        return "it has no Data.fs yet", ""
    if storage.options.text("read-only").lower() in ("on", "yes", "true", "1"):
        return "it is opened read-only", ""
    return None


def _way(seen: Seen) -> Way | tuple[str, str]:
    """Return the way to pack what was SEEN, or why there is none, and a hint."""
    storage = seen.storage
    if seen.is_served:
        return "ZEO"
    if seen.writer is None:
        backend = storage.backend.type if storage.backend is not None else "filestorage"
        if backend in _AS_FILE:
            return "file"
        return f"a <{backend}> can be packed by its running server only", "zmount start"
    if seen.zope and seen.is_known_there:
        return "Zope"
    if seen.zope:
        return (
            f"instance {seen.zope} has it open, and zmount knows no administrator of it",
            "say administrator in zmount.conf, with his password; or pack it in the "
            f"Control_Panel of {seen.zope}, or while that is stopped",
        )
    hint = "wait until that ends"
    if storage.server is not None:
        hint = f"zmount status {storage.server.name}"
    return f"{seen.writer} has it open, and no server answers for it", hint


def _why_garbage_could_go(seen: Seen) -> tuple[str, str] | None:
    """Return why a running server would not keep the garbage, and a hint; None if it will."""
    storage = seen.storage
    if seen.outdated:
        return (
            f"{seen.outdated} has not read its files since they changed: it may not know that "
            "garbage is to be kept",
            f"zmount restart {seen.outdated}",
        )
    if storage.pack.gc and packer(storage) != PACKER:
        return (
            "a running server can be told to keep garbage only if it has zmount's packer",
            "pack-gc off in its <storage>, zmount apply, zmount restart",
        )
    return None


def _notes(seen: Seen, way: Way) -> tuple[str, ...]:
    if way != "file" and seen.outdated:
        return (f"{seen.outdated} has not read its files since they changed",)
    return ()
