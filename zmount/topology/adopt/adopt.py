"""The zmount.conf that reproduces a deployment's own configuration files.

1. understand: each file's sections, whatever version they were written for.
2. name:       processes and storages, uniquely; the directory they all lie in.
3. connect:    each client section to the storage of the server it speaks to.
4. shorten:    sites, kinds and common settings are said once.
5. write:      the rest explicitly, so that no default of zmount creeps in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from zmount.errors import AdoptError
from zmount.topology.adopt.clients import mounted
from zmount.topology.adopt.conf_files import ConfFile
from zmount.topology.adopt.found import Deployment, Served, Server, Zope
from zmount.topology.adopt.hoisting import hoist_equal
from zmount.topology.adopt.ini_files import IniFile
from zmount.topology.adopt.instance_blocks import (
    InstanceFound,
    instance,
    instance_block,
    options,
    without_client,
)
from zmount.topology.adopt.naming import Names, deployment_directory, served_storages
from zmount.topology.adopt.notes import Notes
from zmount.topology.adopt.server_blocks import (
    local_block,
    served_block,
    server_block,
    ssl_block,
)
from zmount.topology.adopt.servers import zeo_directory, zeo_server
from zmount.topology.adopt.sites import (
    CONTAINER,
    SiteFound,
    find_kind,
    find_session,
    find_sites,
)
from zmount.topology.adopt.text import Adopted, written
from zmount.topology.adopt.writing import Keys, block, block_if_any, one
from zmount.topology.adopt.zopes import zope, zope_directory
from zmount.topology.options import Options
from zmount.topology.places import Place
from zmount.topology.sections import RawSection
from zmount.topology.stages import NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A zeo.conf or zope.conf, and what was found beside it.

    ``ini`` runs this zope.conf; ``runner`` is the ``<runner>`` of a zdaemon.conf
    that runs it. ``venv`` is where its programs are, "" if that is not known.
    """

    conf: ConfFile
    ini: IniFile | None = None
    runner: RawSection | None = None
    venv: str = ""


def adopt(sources: tuple[Source, ...], notes: Notes) -> Adopted:
    """Return the zmount.conf for the deployment that SOURCES configure.

    NOTES holds what reading them came upon; what cannot be carried over is
    added, and all of it stands in the result.

    :raises AdoptError: a file says something that no server could start with
    """
    deployment = _deployment(sources, notes)
    served = served_storages(deployment.servers, notes)
    mounts = tuple(mounted(each, deployment.servers, served, notes) for each in deployment.zopes)
    sites = find_sites(served, mounts)
    staging = {each.staging.name: each.staging for each in sites if each.staging is not None}
    served = tuple(staging.get(storage.name, storage) for storage in served)
    session = find_session(served, mounts)
    found = [
        instance(each, mine, find_kind(mine, sites, session))
        for each, mine in zip(deployment.zopes, mounts, strict=True)
    ]
    top, found = _top(found)
    stage_mode = _stage_mode(sites)
    sections = [
        *(server_block(server, deployment) for server in deployment.servers),
        *(_site_block(site, deployment, stage_mode) for site in sites),
        *([block("session")] if session is not None else []),
        *_storage_blocks(deployment, served, sites, session, found, notes),
        *top,
        *(instance_block(each, deployment, sites) for each in found),
    ]
    for source in sources:
        _note_comments(source.conf, notes)
    for each in found:
        _note_implied(each, notes)
    files = tuple(source.conf.file for source in sources)
    return written(deployment, tuple(sections), files, notes, stage_mode=stage_mode)


def _deployment(sources: tuple[Source, ...], notes: Notes) -> Deployment:
    names = Names()
    servers: list[Server] = []
    zopes: list[Zope] = []
    for source in sources:
        conf = source.conf
        if conf.kind == "zeo":
            name = names.for_process(zeo_directory(conf), "zeo")
            servers.append(zeo_server(conf, name, source.runner, notes))
        else:
            name = names.for_process(zope_directory(conf), "zope")
            zopes.append(zope(conf, name, source.ini, source.runner, notes))
    if not servers and not zopes:
        raise AdoptError("there is no zeo.conf and no zope.conf among the files")
    _note_same_directories((*servers, *zopes), notes)
    running = [each.running for each in servers] + [each.running for each in zopes]
    venvs = [each.venv for each in running] + [source.venv for source in sources]
    users = {each.user for each in running}
    return Deployment(
        directory=deployment_directory(tuple(servers), tuple(zopes)),
        venv=_first_venv(venvs, sources[0], notes),
        user=users.pop() if len(users) == 1 else "",
        servers=tuple(servers),
        zopes=tuple(zopes),
        imports=tuple(dict.fromkeys(name for each in sources for name in each.conf.imports)),
    )


def _note_same_directories(processes: Iterable[Server | Zope], notes: Notes) -> None:
    first: dict[PurePosixPath, Server | Zope] = {}
    for each in processes:
        before = first.setdefault(each.directory, each)
        if before is not each:
            notes.say(
                "same-directory",
                each.place,
                f"{each.name} has the directory of {before.name}: {each.directory}",
                why="all files are taken to be of one host",
                hint="if they are of two, write a <host> for each, and host NAME in every "
                "<zeo> and <instance>",
            )


def _first_venv(venvs: Iterable[str], source: Source, notes: Notes) -> str:
    for venv in filter(None, venvs):
        return venv
    notes.say(
        "no-venv",
        Place(source.conf.file),
        "where ZEO and Zope are installed is not known",
        why="no <runner> names a program, and none is found near",
        hint="venv DIRECTORY",
    )
    return ""


def _top(found: list[InstanceFound]) -> tuple[list[RawSection], list[InstanceFound]]:
    """Return the sections that hold for all instances, and the instances without that."""
    with_clients = [each for each in found if each.has_clients]
    client, _ = hoist_equal([each.client for each in with_clients])
    database, _ = hoist_equal([each.database for each in found])
    ssl = with_clients[0].ssl if len(with_clients) > 1 else None
    if any(each.ssl is None or ssl is None or each.ssl.keys != ssl.keys for each in with_clients):
        ssl = None
    blocks = (
        block_if_any("database", options(database)),
        block_if_any("client", options(client), ssl_block(ssl)),
    )
    return (
        [made for made in blocks if made is not None],
        [without_client(each, client, database, ssl) for each in found],
    )


def _stage_mode(sites: tuple[SiteFound, ...]) -> str:
    """Return what the top says of stages: none if there is none, "" for zmount's own opinion."""
    with_staging = [site for site in sites if site.staging is not None]
    is_none = bool(with_staging) and all(site.stage is None for site in with_staging)
    return NONE if is_none else ""


def _site_block(site: SiteFound, deployment: Deployment, stage_mode: str) -> RawSection:
    keys: Keys = ()
    if len(deployment.servers) > 1:
        keys += one("server", site.production.server)
    if site.staging is None:
        keys += one("staging", "none")
    elif site.stage is not None:
        keys += tuple((f"stage-{key}", values) for key, values in site.stage.items_)
    elif not stage_mode:
        keys += one("stage-mode", NONE)
    if site.container != CONTAINER:
        keys += one("container", site.container)
    if site.container_class:
        keys += one("container-class", site.container_class)
    return block("site", site.name, keys=Options(keys))


def _storage_blocks(
    deployment: Deployment,
    served: tuple[Served, ...],
    sites: tuple[SiteFound, ...],
    session: Served | None,
    found: Iterable[InstanceFound],
    notes: Notes,
) -> Iterator[RawSection]:
    of_sites = {
        storage.name: site.name
        for site in sites
        for storage in (site.production, site.staging)
        if storage is not None
    }
    if session is not None and len(deployment.servers) == 1:
        of_sites[session.name] = session.name
    for storage in served:
        made = served_block(storage, deployment, site=of_sites.get(storage.name, ""), notes=notes)
        if made is not None:
            yield made
    for each in found:
        for mount in each.mounts:
            if mount.served is None:
                made = local_block(mount, each.zope.directory, deployment, notes)
                if made is not None:
                    yield made


def _note_comments(conf: ConfFile, notes: Notes) -> None:
    if conf.comments:
        what = "1 comment is" if conf.comments == 1 else f"{conf.comments} lines of comment are"
        notes.say("comments", Place(conf.file), f"{what} not carried over")


def _note_implied(found: InstanceFound, notes: Notes) -> None:
    """Note what the kind of an instance brings with it besides its mounts."""
    if found.kind.kind == "admin":
        notes.say(
            "kind-admin",
            found.zope.place,
            f"instance {found.zope.name} became kind admin, by what it mounts",
            why="zmount starts an admin instance only when it is named",
            hint="autostart on",
        )
    if found.kind.kind == "development":
        notes.say(
            "kind-development",
            found.zope.place,
            f"instance {found.zope.name} became kind development",
            why="its files do not say whether it has a folder for sandboxes",
            hint="sandboxes /dev instead of sandboxes none, if it has",
        )
