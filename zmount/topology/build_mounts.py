"""The mounts of an instance: those that its kind implies, and those it says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

from zmount.topology.build_servers import build_tls
from zmount.topology.build_storages import Storages, Wanted
from zmount.topology.mount_defaults import CLIENT_SERVER_KEYS, MountDefaults, key_places
from zmount.topology.mounts import (
    DATABASE_KEYS,
    Mount,
    MountPoint,
    parse_mount_point,
)
from zmount.topology.options import Options
from zmount.topology.places import Place
from zmount.topology.said import is_none, key_options, path_in
from zmount.topology.sessions import SessionData
from zmount.topology.sites import Site
from zmount.topology.storages import Storage


def build_mounts(
    defaults: MountDefaults,
    storages: Storages,
    sites: tuple[Site, ...],
    session: SessionData | None,
) -> tuple[Mount, ...]:
    """Return the instance's mounts, the root first."""
    said = {section.getSectionName(): section for section in defaults.section.mount_sections}
    implied = {mount.name: mount for mount in _implied(defaults, sites, session)}
    for mount in _extra(defaults, storages):
        implied.setdefault(mount.name, mount)
    for name in defaults.section.without or ():
        if implied.pop(name, None) is None:
            defaults.said.wrong(
                "without-nothing",
                defaults.section.place.of("without"),
                f"instance {defaults.name} is without {name!r}, which it does not mount anyway",
                hint=defaults.said.nearest(name, implied),
            )
    root = _root(defaults, storages, said)
    mounts = [root]
    for mount in implied.values():
        section = said.pop(mount.name, None)
        mounts.append(mount if section is None else _changed(defaults, storages, mount, section))
    for section in said.values():
        explicit = _explicit(defaults, storages, section)
        if explicit is not None:
            mounts.append(explicit)
    return tuple(_with_client(defaults, mount) for mount in mounts)


def _implied(
    defaults: MountDefaults, sites: tuple[Site, ...], session: SessionData | None
) -> Iterator[Mount]:
    for site in sites:
        real = str(site.real_path)
        if defaults.kind == "development":
            if site.staging is not None:
                yield _implied_mount(defaults, site.staging, real, real, site)
            yield _implied_mount(defaults, site.production, f"/pub/{site.name}", real, site)
        else:
            yield _implied_mount(defaults, site.production, real, real, site)
    if session is not None and defaults.kind == "public":
        yield Mount(
            name=session.storage.name,
            storage=session.storage,
            points=(parse_mount_point(session.path, session.place),),
            database=defaults.database,
            client=defaults.client,
            tls=defaults.tls,
            is_implied=True,
            place=defaults.place(session.place),
        )


def _extra(defaults: MountDefaults, storages: Storages) -> Iterator[Mount]:
    """Yield what the command line mounts.

    A site's production is where the public has it, any other storage of a site
    under the storage's own name.
    """
    extra = defaults.said.extra
    if extra is None or extra.instance != defaults.name:
        return
    sites = defaults.said.sites
    owners = {storage.name: site for site in sites.values() for storage in site.storages}
    for name in extra.mounts:
        if name in sites:
            site = sites[name]
            real = str(site.real_path)
            yield _implied_mount(defaults, site.production, real, real, site)
        elif name in owners:
            site = owners[name]
            storage = storages.built[name]
            virtual = str(PurePosixPath("/") / name)
            yield _implied_mount(defaults, storage, virtual, str(site.real_path), site)
        else:
            defaults.said.wrong(
                "unknown-mount",
                defaults.section.place,
                f"instance {defaults.name} cannot mount {name!r}: no site, nor a site's storage",
                hint=defaults.said.nearest(name, [*sites, *owners])
                or "name a site, or say <mount> in the file",
            )


def _implied_mount(
    defaults: MountDefaults, storage: Storage, virtual: str, real: str, site: Site
) -> Mount:
    return Mount(
        name=storage.name,
        storage=storage,
        points=(MountPoint(virtual=virtual, real=real, place=site.place),),
        container_class=site.container_class,
        database=defaults.database,
        client=defaults.client,
        tls=defaults.tls,
        is_implied=True,
        place=defaults.place(site.place),
    )


def _root(defaults: MountDefaults, storages: Storages, said: dict[str, Any]) -> Mount:
    """Return the mount at ``/``, taking its section out of SAID if it has one."""
    section = _root_section(said)
    place = section.place if section is not None else defaults.section.place
    mount = Mount(
        name=section.getSectionName() if section is not None else "main",
        storage=_root_storage(defaults, storages, section, place),
        points=(MountPoint(virtual="/", real="/", place=place),),
        database=defaults.database,
        client=defaults.client,
        tls=defaults.tls,
        is_implied=section is None,
        place=defaults.place(place),
    )
    return mount if section is None else _changed(defaults, None, mount, section)


def _root_section(said: dict[str, Any]) -> Any:
    """Take the section of the root out of SAID: the one with ``mount-point /``, else main."""
    for name, section in said.items():
        if any(parse_mount_point(text).is_root for text in section.mount_points):
            return said.pop(name)
    if "main" in said and not said["main"].mount_points:
        return said.pop("main")
    return None


def _root_storage(
    defaults: MountDefaults, storages: Storages, section: Any, place: Place
) -> Storage:
    said = section.storage if section is not None and section.storage else defaults.section.root
    extra = defaults.said.extra
    if extra is not None and extra.instance == defaults.name and extra.root:
        said = extra.root
    if said is None and section is not None and storages.is_known(section.getSectionName()):
        said = section.getSectionName() if section.getSectionName() != "main" else None
    if said is not None:
        found = storages.named(said, place if section is not None else place.of("root"))
        if found is not None:
            return found
    return storages.get(
        Wanted(
            name=f"root/{defaults.name}",
            role="root",
            server="none",
            host=defaults.host,
            directory=defaults.directory / "var",
            place=place,
        )
    )


def _explicit(defaults: MountDefaults, storages: Storages, section: Any) -> Mount | None:
    name = section.getSectionName()
    storage = storages.named(section.storage or name, section.place.of("storage"))
    if not section.mount_points:
        defaults.said.wrong(
            "no-mount-point",
            section.place,
            f"instance {defaults.name}: <mount {name}> has no mount-point",
            hint="mount-point /PATH, or /PATH:/PATH/IN/THE/STORAGE",
        )
        return None
    if storage is None:
        return None
    mount = Mount(
        name=name,
        storage=storage,
        points=(),
        database=defaults.database,
        client=defaults.client,
        tls=defaults.tls,
        place=section.place,
    )
    return _changed(defaults, None, mount, section)


def _changed(
    defaults: MountDefaults, storages: Storages | None, mount: Mount, section: Any
) -> Mount:
    """Return MOUNT with what SECTION says; STORAGES if it may change the storage."""
    storage = mount.storage
    if storages is not None and section.storage:
        storage = storages.named(section.storage, section.place.of("storage")) or storage
    place = section.place.of("mount-point")
    points = tuple(parse_mount_point(text, place) for text in section.mount_points)
    client = section.client
    inherited = mount.client if storage.stage is None else _unshared(mount.client)
    own_tls = client.ssl if client is not None else None
    return replace(
        mount,
        storage=storage,
        points=points or mount.points,
        container_class=section.container_class or mount.container_class,
        database=key_options(section, DATABASE_KEYS).over(mount.database),
        client=key_options(client, CLIENT_SERVER_KEYS).over(inherited),
        tls=build_tls(defaults.said, own_tls, defaults.directory) or mount.tls,
        is_implied=False,
        place=Place(
            section.place.file,
            section.place.line,
            MappingProxyType({**defaults.keys, **key_places(client, section)}),
        ),
    )


def _with_client(defaults: MountDefaults, mount: Mount) -> Mount:
    """Return MOUNT with the defaults that only its storage can decide."""
    database = mount.database
    if database.text("allow-implicit-cross-references") == "unset":
        database = database.without("allow-implicit-cross-references")
    if mount.storage.server is None:
        return replace(mount, database=database, client=Options(), tls=None)
    if mount.storage.stage is not None and mount.is_implied:
        mount = replace(mount, client=_unshared(mount.client))
    client = mount.client
    blob_dir = _blob_dir(defaults, mount)
    client = client.without("blob-dir")
    if blob_dir:
        client = Options((("blob-dir", (blob_dir,)), *client.items_))
    name = mount.storage.name
    filled = tuple(
        (
            key,
            tuple(
                value.replace("%s", name) if isinstance(value, str) else value for value in values
            ),
        )
        for key, values in client.items_
    )
    return replace(mount, database=database, client=Options(filled))


def _unshared(client: Options) -> Options:
    """Return what is said for all CLIENTs as far as it holds for one of a stage.

    After a swap its blobs are somewhere else than before.
    """
    return client.without("shared-blob-dir")


def _blob_dir(defaults: MountDefaults, mount: Mount) -> str:
    """Return the client's blob directory, or "" for a client without blobs."""
    said = mount.client.text("blob-dir")
    if is_none(said):
        return ""
    if said:
        return str(path_in(defaults.directory, said))
    if mount.client.text("shared-blob-dir").lower() in ("on", "yes", "true", "1"):
        return str(mount.storage.blob_dir or "")
    if mount.storage.blob_dir is None and mount.storage.backend is None:
        return ""
    return str(defaults.directory / "var" / "blobcache" / mount.storage.name)
