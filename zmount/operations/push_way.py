"""Which instance copies: one that shows both the source and the target.

A path of one instance is a place in a storage, and the same place has another path in
another instance: what the public sees at ``/home/x`` the developers see at ``/pub/x``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zmount.effects.raw_storages import is_read_only
from zmount.errors import SandboxRefused
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.remount import instances_here, must_be_paths
from zmount.topology.instances import Instance
from zmount.topology.mounts import Mount, MountPoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """``INSTANCE:PATH`` as it was said, and the same as a place in a storage."""

    instance: Instance
    path: str
    mount: Mount
    root: str
    real: str

    def __str__(self) -> str:
        return f"{self.instance.name}:{self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How to copy: in ``instance``, from one of its paths to another one."""

    instance: Instance
    source: Spot
    target: Spot

    @property
    def touches_root(self) -> bool:
        """True if the copy may write to the root's own storage."""
        return self.target.mount.storage.name == self.instance.root.storage.name


def way_of(local: LocalProcesses, source: str, target: str) -> Way:
    """Return how what SOURCE names gets to TARGET, both ``INSTANCE:PATH``.

    :raises UnknownName: there is no such instance here, or that is no path
    :raises SandboxRefused: no instance shows both, or nothing can be written there
    """
    from_spot, to_spot = _spot(local, source), _spot(local, target)
    named = (from_spot.instance, to_spot.instance)
    others = (each for each in instances_here(local, ()) if each not in named)
    for instance in (*named, *others):
        seen_from, seen_to = _seen_by(instance, from_spot), _seen_by(instance, to_spot)
        if seen_from is not None and seen_to is not None:
            if is_read_only(seen_to.mount):
                raise SandboxRefused(
                    f"{seen_to}: {instance.name} may not write to {seen_to.mount.storage.name}",
                    hint="name an instance whose mount of it is not read-only",
                )
            return Way(instance=instance, source=seen_from, target=seen_to)
    raise SandboxRefused(
        f"no instance shows both {source} and {target}",
        hint=f"{_showing(local, from_spot)}; {_showing(local, to_spot)}; push in two steps, or "
        "mount a storage in one more instance",
    )


def _spot(local: LocalProcesses, said: str) -> Spot:
    name, colon, path = said.partition(":")
    if not colon:
        raise SandboxRefused(
            f"{said!r} does not say which instance", hint="as in dev:/home/example.org/news"
        )
    (instance,) = instances_here(local, (name,))
    must_be_paths((path,))
    mount, point = max(
        (
            (mount, point)
            for mount in instance.mounts
            for point in mount.points
            if _is_at_or_below(path, point.virtual)
        ),
        key=lambda each: len(each[1].virtual),
    )
    return _at(instance, mount, point, path, point.real.rstrip("/") + _rest(path, point.virtual))


def _seen_by(instance: Instance, spot: Spot) -> Spot | None:
    """Return the place SPOT by the path that it has in INSTANCE; None: it does not show it."""
    if instance == spot.instance:
        return spot
    return next(_paths(instance, spot), None)


def _paths(instance: Instance, spot: Spot) -> Iterator[Spot]:
    for mount in instance.mounts:
        if mount.storage.name != spot.mount.storage.name:
            continue
        for point in mount.points:
            if point.root == spot.root and _is_at_or_below(spot.real, point.real):
                path = point.virtual.rstrip("/") + _rest(spot.real, point.real)
                yield _at(instance, mount, point, path, spot.real)


def _at(instance: Instance, mount: Mount, point: MountPoint, path: str, real: str) -> Spot:
    return Spot(instance=instance, path=path, mount=mount, root=point.root, real=real)


def _is_at_or_below(path: str, above: str) -> bool:
    return path == above or path.startswith(above.rstrip("/") + "/")


def _rest(path: str, above: str) -> str:
    return path[len(above.rstrip("/")) :]


def _showing(local: LocalProcesses, spot: Spot) -> str:
    names = [each.name for each in instances_here(local, ()) if _seen_by(each, spot) is not None]
    return f"{spot} is shown by {', '.join(names)}"
