"""Sites whose staging is to be swapped, as they and their storages are right now."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from zmount.effects.disk_use import disk_use
from zmount.effects.file_lock import holder
from zmount.effects.local_files import is_directory, why_not_readable
from zmount.effects.raw_mounts import mounted_oids
from zmount.effects.space import are_on_one_volume, free_bytes, size_bytes
from zmount.effects.stage_files import changes_on, generations_of, last_tid_of, stage_state
from zmount.effects.stages import conf_knows_stage, is_listening
from zmount.errors import Locked, StorageUnreadable, SwapRefused, UnknownName
from zmount.operations.local_processes import LocalProcesses
from zmount.operations.swap_caches import caches_of
from zmount.operations.swap_plan import Seen, SwapWish, Volumes, Way
from zmount.operations.swap_sights import points_of
from zmount.topology.sites import Site
from zmount.topology.stages import why_not_swapped
from zmount.topology.storages import Storage


def chosen_sites(local: LocalProcesses, wish: SwapWish) -> tuple[Site, ...]:
    """Return the sites that are WISHed; of all those that can be swapped on the LOCAL host.

    :raises UnknownName: there is no such site, or it is on another host
    :raises SwapRefused: there is none to swap
    """
    topology, host = local.topology, local.host
    if not wish.is_all:
        named = tuple(topology.site(name) for name in dict.fromkeys(wish.names))
        for site in named:
            _must_be_here(site, local)
        return named
    found = tuple(
        site
        for site in topology.sites
        if site.production.host.name == host.name and not why_not_swapped(site)
    )
    if not found:
        raise SwapRefused(
            f"there is no site on host {host.name} whose staging can be swapped",
            hint="zmount check says why",
        )
    return found


def _must_be_here(site: Site, local: LocalProcesses) -> None:
    if site.staging is None or site.staging.host.name == local.host.name:
        return
    raise UnknownName(
        f"the staging of site {site.name} is on host {site.staging.host.name}, "
        f"not on {local.host.name}",
        hint=f"zmount --host {site.staging.host.name}, on that machine",
    )


def look(site: Site, local: LocalProcesses) -> Seen:
    """Return how the two storages of SITE are.

    :raises SwapRefused: its staging is no stage, or its server does not know that it is
    :raises Locked: something else has its files open
    :raises StorageUnreadable: one of them cannot be read
    """
    if why := why_not_swapped(site):
        raise SwapRefused(
            f"site {site.name}: its staging cannot be swapped: {why}", hint=_hint(site)
        )
    staging, production = site.staging, site.production
    assert staging is not None and production.data_fs is not None
    way, state = _way(staging, local), stage_state(staging)
    return Seen(
        site=site,
        staging=staging,
        way=way,
        state=state,
        changes=changes_on(staging),
        production_tid=_last_tid(production),
        production_bytes=size_bytes(production.data_fs),
        production_blob_bytes=_blob_bytes(production),
        index_bytes=size_bytes(production.data_fs.with_name(production.data_fs.name + ".index")),
        volumes=_volumes(staging, production),
        oids={} if state.broken else mounted_oids(staging, points_of(staging, local.topology)),
        # a server tells its clients itself
        caches=caches_of(staging, local) if way == "files" else (),
    )


def _hint(site: Site) -> str:
    if not site.is_swapped:
        return "leave that line out, zmount apply, zmount restart"
    return "a FileStorage that a ZEO server serves, on production's host"


def _way(staging: Storage, local: LocalProcesses) -> Way:
    """Return how STAGING can be told to swap."""
    if is_listening(staging):
        return "ZEO"
    server = local.openers[staging.name]
    answer = local.ask(server)
    if answer.is_answering and (answer.clients is None or staging.zeo_name in answer.clients):
        raise SwapRefused(
            f"{staging.name}: the ZEO server {server.name} runs with an older zeo.conf, "
            "in which it is no stage",
            hint=f"zmount apply, zmount restart {server.name}",
        )
    if not conf_knows_stage(staging):
        raise SwapRefused(
            f"{staging.name}: in the zeo.conf of {server.name} it is no stage yet",
            hint="zmount apply",
        )
    for path in (generations_of(staging).lock, Path(f"{staging.data_fs}.lock")):
        if by := holder(path):
            raise Locked(
                f"{staging.name}: {by} has it open, and no ZEO server answers for it",
                hint=f"zmount status {server.name}",
            )
    return "files"


def _last_tid(production: Storage) -> bytes:
    assert production.data_fs is not None
    path = Path(production.data_fs)
    if why := why_not_readable(path):
        raise StorageUnreadable(
            f"production, {production.name}: {why}",
            hint=f"zmount status; zmount show {production.name}",
        )
    return last_tid_of(path)


def _volumes(staging: Storage, production: Storage) -> Volumes:
    """Return where the generations of STAGING are, and whether a link to PRODUCTION could be."""
    assert staging.stage is not None
    here = staging.stage.generations
    files: tuple[PurePosixPath | None, ...] = (production.data_fs, production.blob_dir)
    away = [path for path in files if path is not None and not are_on_one_volume(path, here)]
    why = f"{away[0]} is on another volume" if away else ""
    return Volumes(free_bytes=free_bytes(here), why_copied=why)


def _blob_bytes(production: Storage) -> int | None:
    if production.blob_dir is None or not is_directory(production.blob_dir):
        return 0
    return disk_use(None, production.blob_dir).blob_bytes
