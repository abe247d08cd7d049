"""Instances, from their sections and what holds for all of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any

from zmount.topology.addresses import Address
from zmount.topology.build_mounts import build_mounts
from zmount.topology.build_servers import (
    address_said,
    build_log,
    build_runner,
    host_named,
    is_on,
)
from zmount.topology.build_storages import Storages
from zmount.topology.hosts import Host
from zmount.topology.instances import ZOPE_KEYS, Instance, Kind, Wsgi, Zcml
from zmount.topology.mount_defaults import mount_defaults
from zmount.topology.mounts import Mount
from zmount.topology.options import Options
from zmount.topology.said import (
    Said,
    free_options,
    is_none,
    key_options,
    path_in,
    raw_section,
)
from zmount.topology.sessions import SessionData
from zmount.topology.sites import Site

DOS_KEYS = frozenset("form-memory-limit form-disk-limit form-memfile-limit form-part-limit".split())


def build_instances(
    said: Said, storages: Storages, sites: tuple[Site, ...], session: SessionData | None
) -> tuple[Instance, ...]:
    """Return the instances, in the order of the file."""
    return tuple(
        _instance(said, section, storages, sites, session) for section in said.top.instances
    )


def _instance(
    said: Said,
    section: Any,
    storages: Storages,
    sites: tuple[Site, ...],
    session: SessionData | None,
) -> Instance:
    name, place = section.getSectionName(), section.place
    kind: Kind = section.kind or "public"
    hosts = tuple(
        dict.fromkeys(host_named(said, host, place.of("host")) for host in section.host or (None,))
    )
    directory = path_in(hosts[0].directory, section.directory or f"{name}_client")
    defaults = mount_defaults(said, section, kind, hosts[0], directory)
    chosen = _sites(said, section, kind, sites)
    mounts = build_mounts(defaults, storages, chosen, session)
    environment = free_options(section.environment)
    zope_conf = raw_section(section, "zope-conf")
    first = hosts[0]
    return Instance(
        name=name,
        kind=kind,
        hosts=hosts,
        directory=directory,
        venv=path_in(first.directory, section.venv) if section.venv else first.venv,
        http_address=_http_address(said, section, first, directory),
        replicas_per_host=section.replicas or 1,
        mounts=mounts,
        log=build_log(section.log, said.top.log, directory, "event.log"),
        access_log=build_log(section.access_log, said.top.access_log, directory, "access.log"),
        wsgi=_wsgi(section),
        zcml=_zcml(section, first),
        zope=key_options(section, ZOPE_KEYS),
        environment=environment,
        dos_protection=key_options(section.dos_protection, DOS_KEYS),
        product_config=_named_options(section.product_configs),
        sections=(zope_conf,) if zope_conf is not None else (),
        imports=said.imports if zope_conf is not None else (),
        products=_products(section, mounts, session),
        sandboxes=_sandboxes(section, kind),
        runner=build_runner(said, section),
        user=section.user or said.top.user or "",
        autostart=is_on(section.autostart, default=kind != "admin"),
        place=place,
    )


def _http_address(said: Said, section: Any, host: Host, directory: PurePosixPath) -> Address:
    return address_said(
        said,
        section.http_address or "8080",
        section.place.of("http-address"),
        directory,
        "127.0.0.1" if len(said.hosts) == 1 else host.address,
    )


def _named_options(sections: Iterable[Any]) -> tuple[tuple[str, Options], ...]:
    return tuple((section.getSectionName() or "", free_options(section)) for section in sections)


def _sites(said: Said, section: Any, kind: Kind, sites: tuple[Site, ...]) -> tuple[Site, ...]:
    names = section.sites or (("none",) if kind == "admin" else ("all",))
    if names == ("all",):
        return sites
    if names == ("none",):
        return ()
    by_name = {site.name: site for site in sites}
    for name in names:
        if name not in by_name:
            said.wrong(
                "unknown-site",
                section.place.of("sites"),
                f"there is no site {name!r}",
                hint=said.nearest(name, by_name) or f"<site {name}/>",
            )
    return tuple(by_name[name] for name in names if name in by_name)


def _wsgi(section: Any) -> Wsgi:
    return Wsgi(
        threads=section.threads or Wsgi().threads,
        waitress=free_options(section.waitress),
        filters=tuple(section.filters),
        pipeline=section.pipeline or (),
        sections=_named_options(section.inis),
    )


def _zcml(section: Any, host: Host) -> Zcml:
    def path(said: str | None) -> str:
        return str(path_in(host.directory, said)) if said else ""

    return Zcml(
        packages=tuple(section.zcml),
        resources=path(section.resources),
        locales=path(section.locales),
        additional=path(section.zcml_additional),
        site=path(section.site_zcml),
    )


def _products(
    section: Any, mounts: tuple[Mount, ...], session: SessionData | None
) -> tuple[str, ...]:
    """Return what the virtual environment must have, said or implied."""
    wanted = list(section.products)
    if len(mounts) > 1:
        wanted.append("Products.ZODBMountPoint")
    if session is not None and any(mount.storage == session.storage for mount in mounts):
        wanted.append("Products.Sessions")
    return tuple(dict.fromkeys(wanted))


def _sandboxes(section: Any, kind: Kind) -> str | None:
    if is_none(section.sandboxes):
        return None
    said: str | None = section.sandboxes
    return said or ("/dev" if kind == "development" else None)
