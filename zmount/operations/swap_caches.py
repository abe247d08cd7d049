"""Persistent caches of ZEO clients that remember what staging showed before a swap.

A stage tells each client that comes back what to forget; so a cache that stays does
not lie, as long as a stage serves the storage. Where a swap changes files alone, the
caches that nobody uses go as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from zmount.effects.client_caches import is_cache, remove_cache, user_of
from zmount.errors import Locked
from zmount.operations.local_processes import LocalProcesses
from zmount.topology.checks.claims import cache_file
from zmount.topology.storages import Storage

Fate = Literal["goes", "removed", "stays", "elsewhere"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCache:
    """The cache ``path`` of the process ``name`` of an instance, on ``host``.

    ``fate``: it goes with a swap of the files, it is removed, it stays, or it is on
    another host. ``why`` it stays.
    """

    name: str
    host: str
    path: PurePosixPath
    fate: Fate
    why: str = ""

    def __str__(self) -> str:
        """What an administrator is told of it."""
        tells = f"staging's server will tell {self.name} to forget it"
        return {
            "goes": f"{self.path}, the cache of {self.name}, goes as well",
            "removed": f"{self.path}, the cache of {self.name}, was removed",
            "stays": f"{self.path}, the cache of {self.name}, stays: {self.why}; {tells}",
            "elsewhere": f"{self.path} on host {self.host}, the cache of {self.name}, "
            f"stays if it is there: {tells}. Or remove it while {self.name} is down",
        }[self.fate]

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "instance": self.name,
            "host": self.host,
            "path": str(self.path),
            "fate": self.fate,
            "why": self.why or None,
        }


def caches_of(staging: Storage, local: LocalProcesses) -> tuple[ClientCache, ...]:
    """Return the persistent caches of STAGING, and what is to become of each.

    Of this host those that are there, of other hosts all that their clients may have.
    """
    return tuple(_all(staging, local))


def _all(staging: Storage, local: LocalProcesses) -> Iterator[ClientCache]:
    for replica in local.topology.replicas:
        for mount in replica.instance.mounts:
            path, _ = cache_file(replica, mount)
            if path is None or mount.storage.name != staging.name:
                continue
            cache = ClientCache(
                name=replica.name, host=replica.host.name, path=path, fate="elsewhere"
            )
            if replica.host.name != local.host.name:
                yield cache
            elif (here := _looked_at(cache)) is not None:
                yield here


def _looked_at(cache: ClientCache) -> ClientCache | None:
    """Return what is to become of CACHE, which would be on this host; None: it is not there."""
    path = Path(cache.path)
    try:
        if path.is_symlink():
            return replace(cache, fate="stays", why="it is a symbolic link")
        if not path.exists():
            return None
        if not is_cache(path):
            return replace(cache, fate="stays", why="it is no file of a ZEO cache")
        by = user_of(path)
    except OSError as why:
        return replace(cache, fate="stays", why=str(why.strerror))
    if by is not None:
        return replace(cache, fate="stays", why=f"{by} has it open")
    return replace(cache, fate="goes")


def remove_caches(caches: tuple[ClientCache, ...]) -> tuple[ClientCache, ...]:
    """Remove those of CACHES that are to go; return what became of each."""
    return tuple(_removed(each) if each.fate == "goes" else each for each in caches)


def _removed(cache: ClientCache) -> ClientCache:
    path = Path(cache.path)
    try:
        if is_cache(path):
            remove_cache(path)
    except Locked:
        return replace(cache, fate="stays", why="its client has started meanwhile")
    except OSError as why:
        return replace(cache, fate="stays", why=f"it cannot be removed: {why.strerror}")
    return replace(cache, fate="removed")
