"""Storages, sites and sessions: those that are said and those that are implied."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import PurePosixPath
from typing import Any

from zmount.topology.build_servers import host_named, is_on
from zmount.topology.hosts import Host
from zmount.topology.options import Options, Secret
from zmount.topology.places import Place
from zmount.topology.said import Said, is_none, key_options, path_in
from zmount.topology.sections import RawSection
from zmount.topology.sessions import SessionData
from zmount.topology.sites import Site
from zmount.topology.stages import NONE, generations_of, stage_options, why_no_stage
from zmount.topology.storages import (
    FILESTORAGE_KEYS,
    PACKER,
    STOCK_PACKER,
    PackPolicy,
    Role,
    Stage,
    Storage,
)
from zmount.topology.zeo import ZeoServer


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A storage that something else implies."""

    name: str
    role: Role
    site: str = ""
    server: str | None = None  # None: the only one
    host: Host | None = None  # for a storage that an instance opens itself
    directory: PurePosixPath | None = None  # where its file is, if not var/NAME
    place: Place


@dataclass(slots=True, kw_only=True)
class Storages:
    """The storages built so far, by name; implied ones come as they are asked for."""

    said: Said
    servers: dict[str, ZeoServer]
    sections: dict[str, Any]
    built: dict[str, Storage] = field(default_factory=dict)

    def get(self, wanted: Wanted) -> Storage:
        """Return the storage that is WANTED, with what its own section says."""
        if wanted.name not in self.built:
            self.built[wanted.name] = self._build(wanted, self.sections.get(wanted.name))
        return self.built[wanted.name]

    def stage(self, wanted: Wanted, production: Storage, options: Options | None) -> Storage:
        """Return the staging storage that is WANTED, a stage if it can be one."""
        staging = self.get(wanted)
        if options is None or staging.data_fs is None or why_no_stage(production, staging):
            return staging
        stage = Stage(
            production=production,
            generations=generations_of(staging.data_fs),
            options=options,
        )
        self.built[staging.name] = replace(staging, stage=stage)
        return self.built[staging.name]

    def is_known(self, name: str) -> bool:
        """True if there is a storage NAME."""
        return name in self.built or name in self.sections

    def named(self, name: str, place: Place) -> Storage | None:
        """Return the storage NAME, or None with a finding at PLACE."""
        if name in self.built:
            return self.built[name]
        if name in self.sections:
            section = self.sections[name]
            return self.get(Wanted(name=name, role="plain", place=section.place))
        self.said.wrong(
            "unknown-storage",
            place,
            f"no server serves a storage {name!r}",
            why="the instance would wait 30 s for it and not start",
            hint=self.said.nearest(name, chain(self.built, self.sections)) or f"<storage {name}>",
        )
        return None

    def _build(self, wanted: Wanted, section: Any) -> Storage:
        place = section.place if section is not None else wanted.place
        server = self._server(wanted, section, place)
        host = server.host if server else self._host(wanted, section, place)
        backend = self._backend(section, wanted.name)
        directory = wanted.directory or host.directory / "var" / wanted.name
        data_fs, blob_dir = (
            _files(section, directory, host) if backend is None else _files_in(backend, host)
        )
        return Storage(
            name=wanted.name,
            host=host,
            server=server,
            served_as=(section.served_as if section is not None else None) or "",
            data_fs=data_fs,
            blob_dir=blob_dir,
            role=wanted.role,
            site=wanted.site,
            options=self._options(section) if backend is None else Options(),
            pack=self._pack(section, wanted.role),
            backend=backend,
            imports=self.said.imports if backend is not None else (),
            may_refer=self._may_refer(section, wanted.role),
            is_implied=section is None,
            place=place,
        )

    def _server(self, wanted: Wanted, section: Any, place: Place) -> ZeoServer | None:
        name = section.server if section is not None and section.server else wanted.server
        if is_none(name):
            return None
        if name is not None:
            if name not in self.servers:
                hint = self.said.nearest(name, self.servers) or f"<zeo {name}>"
                self.said.wrong(
                    "unknown-server", place.of("server"), f"no ZEO server {name!r}", hint=hint
                )
            # an unknown one: go on with another, lest it seem to have none
            return self.servers.get(name) or next(iter(self.servers.values()), None)
        if len(self.servers) > 1:
            self.said.wrong(
                "which-server",
                place,
                f"storage {wanted.name}: which of the ZEO servers serves it?",
                hint=f"server {next(iter(self.servers))}, in <site> or <storage {wanted.name}>",
            )
        return next(iter(self.servers.values()), None)

    def _host(self, wanted: Wanted, section: Any, place: Place) -> Host:
        if section is not None and section.host:
            return host_named(self.said, section.host, place.of("host"))
        return wanted.host or host_named(self.said, None, place)

    def _backend(self, section: Any, name: str) -> RawSection | None:
        raw: tuple[RawSection, ...] = section.raw if section is not None else ()
        if len(raw) > 1:
            self.said.wrong(
                "two-backends",
                raw[1].place,
                f"<storage {name}> holds <{raw[0].type}> and <{raw[1].type}>",
                hint="one storage section; wrap one in the other if that is meant",
            )
        return raw[0] if raw else None

    def _options(self, section: Any) -> Options:
        options = key_options(section, FILESTORAGE_KEYS)
        packer = options.text("packer") or self.said.top.packer or PACKER
        options = options.without("packer")
        if packer == STOCK_PACKER:
            return options
        return Options((*options.items_, ("packer", (packer,))))

    def _pack(self, section: Any, role: Role) -> PackPolicy:
        said = section.pack_days if section is not None else None
        # nobody goes back to what was in a session an hour ago
        days = said or ("0" if role == "session" else self.said.top.pack_days)
        return PackPolicy(
            days=float(days) if days else PackPolicy().days,
            gc=is_on(section.pack_gc if section is not None else None, default=True),
            keep_old=is_on(section.pack_keep_old if section is not None else None, default=True),
        )

    def _may_refer(self, section: Any, role: Role) -> bool:
        said = (section.references if section is not None else None) or self.said.top.references
        # what only a visitor's session keeps alive may go as the session does
        return said != "none" if said else role != "session"


def build_sites(said: Said, storages: Storages) -> tuple[Site, ...]:
    """Return the sites; their storages are made as far as no section names them."""
    return tuple(_site(section, storages) for section in said.top.sites)


def _site(section: Any, storages: Storages) -> Site:
    name = section.getSectionName()
    production = Wanted(
        name=section.production or f"pub/{name}",
        role="production",
        site=name,
        server=section.server,
        place=section.place,
    )
    staging = Wanted(
        name=section.staging or f"stage/{name}",
        role="staging",
        site=name,
        server=section.server,
        place=section.place,
    )
    live = storages.get(production)
    options = _stage_options(storages.said.top, section)
    return Site(
        name=name,
        production=live,
        staging=None if is_none(section.staging) else storages.stage(staging, live, options),
        container=PurePosixPath(section.container or "/home"),
        container_class=section.container_class or "",
        is_swapped=options is not None,
        place=section.place,
    )


def _stage_options(top: Any, section: Any) -> Options | None:
    """Return what the site's SECTION, or the file's TOP, says of stages; None: no stage."""
    mode = section.stage_mode or top.stage_mode
    if mode == NONE:
        return None
    keep = section.stage_keep or top.stage_keep
    return stage_options(mode or "", keep, section.stage_drain_timeout or top.stage_drain_timeout)


def build_session(said: Said, storages: Storages) -> SessionData | None:
    """Return where sessions are kept, or None if no section asks for it."""
    section = said.top.session
    if section is None:
        return None
    name = section.storage or "pub/session"
    return SessionData(
        storage=storages.get(Wanted(name=name, role="session", place=section.place)),
        path=section.mount_point or "/session",
        container=section.container or "session_data",
        timeout_minutes=int(section.timeout_minutes or 20),
        max_objects=int(section.max_objects or 0),
        place=section.place,
    )


def _files(
    section: Any, directory: PurePosixPath, host: Host
) -> tuple[PurePosixPath, PurePosixPath | None]:
    path = section.path if section is not None else None
    blobs = section.blob_dir if section is not None else None
    data_fs = path_in(host.directory, path) if path else directory / "Data.fs"
    if is_none(blobs):
        return data_fs, None
    return data_fs, path_in(host.directory, blobs) if blobs else data_fs.parent / "blobs"


def _files_in(backend: RawSection, host: Host) -> tuple[PurePosixPath | None, PurePosixPath | None]:
    """Return the Data.fs and blob directory of the first FileStorage in BACKEND."""
    data_fs = blob_dir = None
    for section in backend.walk():
        path, blobs = section.get("path"), section.get("blob-dir")
        if section.type == "filestorage" and path is not None and data_fs is None:
            data_fs = path_in(host.directory, _text(path))
        if blobs is not None and blob_dir is None:
            blob_dir = path_in(host.directory, _text(blobs))
    return data_fs, blob_dir


def _text(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value
