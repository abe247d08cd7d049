"""Recognising sites and kinds of instances, so that zmount.conf says them once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from zmount.topology.adopt.clients import Mounted
from zmount.topology.adopt.found import Served
from zmount.topology.adopt.stages import as_filestorage, stage_keys
from zmount.topology.instances import Kind
from zmount.topology.mounts import MountPoint, parse_mount_point
from zmount.topology.options import Options

CONTAINER = "/home"
SESSION = "pub/session"
SESSION_PATH = "/session"
_FOLDER = "OFS.Folder.Folder"

Implied: TypeAlias = "dict[str, ImpliedMount]"


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFound:
    """A site that two storages, or one, and the mounts on them amount to.

    ``stage`` is what the ``<stage>`` of its staging storage says of its own; None:
    that is a FileStorage, or something that is kept as it is written.
    """

    name: str
    production: Served
    staging: Served | None
    container: str = CONTAINER
    container_class: str = ""
    stage: Options | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImpliedMount:
    """What zmount mounts by itself under a storage's name."""

    storage: str
    point: MountPoint
    container_class: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindFound:
    """The kind that says most of an instance's mounts, and the rest of it."""

    kind: Kind
    sites: tuple[str, ...]
    without: tuple[str, ...]
    implied: Implied


def find_sites(
    served: tuple[Served, ...], mounts: tuple[tuple[Mounted, ...], ...]
) -> tuple[SiteFound, ...]:
    """Return the sites: storages called pub/SITE, with stage/SITE or a mount like a site's."""
    by_name = {storage.name: storage for storage in served if storage.name == storage.served_as}
    found = []
    for name, production in by_name.items():
        folder, _, site = name.partition("/")
        staging = by_name.get(f"stage/{site}")
        if folder != "pub" or not site or "/" in site:
            continue
        if staging is not None and staging.server != production.server:
            staging = None
        points = list(_points(site, mounts))
        if staging is None and (name == SESSION or not points):
            continue
        stage = None if staging is None else stage_keys(staging, production)
        classes = {mount.database.container_class for mount in _of_site(site, mounts)}
        class_ = classes.pop() if len(classes) == 1 else ""
        containers = Counter(point.real.rpartition("/")[0] for point in points)
        found.append(
            SiteFound(
                name=site,
                production=production,
                staging=as_filestorage(staging) if staging and stage is not None else staging,
                stage=stage,
                container=containers.most_common(1)[0][0] if containers else CONTAINER,
                container_class=class_,
            )
        )
    return tuple(found)


def find_session(
    served: tuple[Served, ...], mounts: tuple[tuple[Mounted, ...], ...]
) -> Served | None:
    """Return the storage of the sessions: pub/session, if an instance has it at /session."""
    for storage in served:
        if storage.name == SESSION == storage.served_as:
            point = MountPoint(virtual=SESSION_PATH, real=SESSION_PATH)
            if any(_fits(mount, _session(point)) for each in mounts for mount in each):
                return storage
    return None


def find_kind(
    mounts: tuple[Mounted, ...], sites: tuple[SiteFound, ...], session: Served | None
) -> KindFound:
    """Return the kind of an instance with these MOUNTS that leaves least to say."""
    if not sites and session is None:
        return KindFound(kind="public", sites=(), without=(), implied={})
    kinds: tuple[Kind, ...] = ("public", "admin", "development")
    found = [_as_kind(kind, mounts, sites, session) for kind in kinds]
    return min(found, key=lambda each: _lines(each, mounts, sites))


def sites_line(found: KindFound, sites: tuple[SiteFound, ...]) -> str:
    """Return what ``sites`` must say in the instance, "" if its kind implies it."""
    if found.kind == "admin":
        is_all = len(found.sites) == len(sites) > 0
        return "all" if is_all else " ".join(found.sites)
    if len(found.sites) == len(sites):
        return ""
    return " ".join(found.sites) or "none"


def _points(site: str, mounts: tuple[tuple[Mounted, ...], ...]) -> Iterator[MountPoint]:
    """Yield where SITE's storages are mounted like a site's."""
    for mount in _of_site(site, mounts):
        if len(mount.database.points) != 1:
            continue
        point = parse_mount_point(mount.database.points[0])
        container, _, last = point.real.rpartition("/")
        is_sites = point.virtual in (point.real, f"/pub/{site}") and point.root == "Application"
        if is_sites and last == site and container:
            yield point


def _of_site(site: str, mounts: tuple[tuple[Mounted, ...], ...]) -> Iterator[Mounted]:
    """Yield the mounts that bear the names of SITE's storages."""
    for mount in (mount for each in mounts for mount in each):
        is_sites = mount.storage in (f"pub/{site}", f"stage/{site}") and mount.served is not None
        if is_sites and mount.database.name == mount.storage and not mount.database.is_root:
            yield mount


def _as_kind(
    kind: Kind, mounts: tuple[Mounted, ...], sites: tuple[SiteFound, ...], session: Served | None
) -> KindFound:
    by_name = {mount.database.name: mount for mount in mounts if not mount.database.is_root}

    def shown(site: SiteFound) -> bool:
        return any(
            name in by_name and _fits(by_name[name], implied)
            for name, implied in _implied(kind, site)
        )

    chosen = [site for site in sites if shown(site)]
    implied = dict(pair for site in chosen for pair in _implied(kind, site))
    if session is not None and kind == "public":
        implied[SESSION] = _session(MountPoint(virtual=SESSION_PATH, real=SESSION_PATH))
    return KindFound(
        kind=kind,
        sites=tuple(site.name for site in chosen),
        without=tuple(name for name in implied if name not in by_name),
        implied={name: mount for name, mount in implied.items() if name in by_name},
    )


def _implied(kind: Kind, site: SiteFound) -> Iterator[tuple[str, ImpliedMount]]:
    """Yield what KIND mounts of SITE, as ``build_mounts`` does."""
    real = f"{site.container}/{site.name}"

    def mount(storage: Served, virtual: str) -> tuple[str, ImpliedMount]:
        point = MountPoint(virtual=virtual, real=real)
        return storage.name, ImpliedMount(
            storage=storage.name, point=point, container_class=site.container_class
        )

    if kind != "development":
        yield mount(site.production, real)
        return
    if site.staging is not None:
        yield mount(site.staging, real)
    yield mount(site.production, f"/pub/{site.name}")


def _session(point: MountPoint) -> ImpliedMount:
    return ImpliedMount(storage=SESSION, point=point)


def _fits(mount: Mounted, implied: ImpliedMount) -> bool:
    """True if MOUNT is what is IMPLIED, its settings aside."""
    database = mount.database
    return (
        mount.storage == implied.storage
        and [parse_mount_point(text) for text in database.points] == [implied.point]
        and (database.container_class or _FOLDER) == (implied.container_class or _FOLDER)
    )


def _lines(found: KindFound, mounts: tuple[Mounted, ...], sites: tuple[SiteFound, ...]) -> int:
    """Return about how many lines an instance of this kind takes."""
    lines = (found.kind != "public") + (found.kind == "development")
    lines += bool(sites_line(found, sites)) + bool(found.without)
    for mount in mounts:
        implied = found.implied.get(mount.database.name)
        if not mount.database.is_root:
            lines += 3 * (implied is None or not _fits(mount, implied))
    return lines
