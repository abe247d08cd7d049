"""Reading a topology file.

1. read:  the whole file, collecting every mistake (``reading``).
2. build: the nouns that it says and implies (``build_*``).

:func:`read` returns what could be understood together with the findings;
:func:`load` refuses a file that has any.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import ZConfig
from ZConfig.loader import SchemaLoader

from zmount.errors import TopologyError, TopologyNotFound
from zmount.topology.administrator import Administrator
from zmount.topology.build_instances import build_instances
from zmount.topology.build_schedules import Nouns, build_schedules
from zmount.topology.build_servers import build_hosts, build_zeo_servers
from zmount.topology.build_storages import Storages, Wanted, build_session, build_sites
from zmount.topology.findings import Finding, error, without_consequences
from zmount.topology.health import AS_USUAL, TIMEOUT_S, UNITS, HealthLimits
from zmount.topology.places import Place
from zmount.topology.reading import Loader
from zmount.topology.said import Extra, Said, is_none, path_in
from zmount.topology.schedules import Mails
from zmount.topology.topology import ProcessManager, Topology

SCHEMA = str(Path(__file__).with_name("schema.xml"))


def load(path: str | os.PathLike[str], *, extra: Extra | None = None) -> Topology:
    """Return the topology that the file PATH describes, with what EXTRA adds.

    It is read, not judged: ``zmount check`` judges how its parts fit together.

    :raises TopologyNotFound: there is no such file
    :raises TopologyError: it cannot be read, or says what makes no sense; the
        message holds one line for each mistake
    """
    topology, findings = read(path, extra=extra)
    if topology is None or findings:
        raise TopologyError("\n".join(str(finding) for finding in findings))
    return topology


def read(
    path: str | os.PathLike[str], *, extra: Extra | None = None
) -> tuple[Topology | None, tuple[Finding, ...]]:
    """Return the topology in the file PATH and what is wrong with the file.

    The topology is None where nothing of the file could be understood.

    :raises TopologyNotFound: there is no such file
    """
    file = str(Path(path).absolute())
    if not is_there(file):
        raise TopologyNotFound(f"{file}: there is no such file", hint="zmount -f FILE")
    loader = Loader(_schema())
    matcher = loader.createSchemaMatcher()
    matcher.place = Place(file)
    try:
        with loader.openResource(PurePosixPath(file).as_uri()) as resource:
            loader._parse_resource(matcher, resource)
    except ZConfig.ConfigurationError as why:
        return None, (error("unreadable", Place(file), why.message),)
    if _is_garbage(matcher, loader.findings):
        return None, (_garbage(file, loader.findings[0]),)
    top = loader.finish(matcher)
    said = Said(
        file=file, top=top, imports=tuple(loader.imports), extra=extra, findings=loader.findings
    )
    topology = _build(said)
    return topology, tuple(
        sorted(
            without_consequences(said.findings), key=lambda f: (f.place.file != file, f.place.line)
        )
    )


def is_there(path: str | os.PathLike[str]) -> bool:
    """True if there is something at PATH, be it that nobody may look at it."""
    try:
        Path(path).stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError):
        pass  # reading it will say why
    return True


def _build(said: Said) -> Topology:
    _refuse_log_paths(said)
    build_hosts(said)
    servers = build_zeo_servers(said)
    storages = Storages(
        said=said,
        servers={server.name: server for server in servers},
        sections={section.getSectionName(): section for section in said.top.storages},
    )
    sites = build_sites(said, storages)
    said.sites = {site.name: site for site in sites}
    session = build_session(said, storages)
    roots = {f"root/{section.getSectionName()}" for section in said.top.instances}
    for name, section in storages.sections.items():
        if name not in roots:  # those know their instance
            storages.get(Wanted(name=name, role="plain", place=section.place))
    instances = build_instances(said, storages, sites, session)
    for name, section in storages.sections.items():
        if name not in storages.built:  # root/NAME, and NAME has another root
            storages.get(Wanted(name=name, role="plain", place=section.place))
    nouns = Nouns(
        servers=servers, storages=storages.built.values(), sites=sites, instances=instances
    )
    manager: ProcessManager = said.top.manager or "zdaemon"
    return Topology(
        file=said.file,
        hosts=tuple(said.hosts.values()),
        zeo_servers=servers,
        storages=tuple(storages.built.values()),
        sites=sites,
        instances=instances,
        session=session,
        administrator=_administrator(said),
        health=_health(said.top.health),
        unit_prefix=said.top.unit_prefix or "zmount",
        manager=manager,
        unit_directory=_path_on_first(said, said.top.unit_directory),
        schedules=build_schedules(said, nouns),
        scheduler=said.top.scheduler or ("systemd" if manager == "systemd" else "crontab"),
        crontab=_path_on_first(said, said.top.crontab),
        mails=Mails(server=said.top.mail_server or "", sender=said.top.mail_from or ""),
        place=said.top.place,
    )


def _path_on_first(said: Said, text: str | None) -> PurePosixPath | None:
    """Return the path TEXT, relative to the first host's directory; None: it was not said."""
    return path_in(next(iter(said.hosts.values())).directory, text) if text else None


def _refuse_log_paths(said: Said) -> None:
    for log in (said.top.log, said.top.access_log):
        if log is not None and log.path and not is_none(log.path):
            said.wrong(
                "log-path-for-all",
                log.place.of("path"),
                "the settings of all logs have a path",
                why="they would all be one file",
                hint="path none, or <log> in each <zeo> and <instance>",
            )


def _administrator(said: Said) -> Administrator | None:
    name = said.top.administrator
    if name is None:
        return None
    return Administrator(name=name, password=said.top.administrator_password)


def _health(section: Any) -> HealthLimits:
    """Return what the <health> SECTION says; None: there is none."""
    if section is None:
        return AS_USUAL
    said = ((key, getattr(section, key.replace("-", "_"))) for key in UNITS)
    return HealthLimits(
        said=tuple((key, limits) for key, limits in said if limits is not None),
        timeout_s=section.timeout or TIMEOUT_S,
    )


@lru_cache(maxsize=1)
def _schema() -> Any:
    return SchemaLoader().loadURL(SCHEMA)


def _is_garbage(matcher: Any, findings: list[Finding]) -> bool:
    """True if so much is wrong, and nothing right, that it must be another file."""
    return len(findings) > 3 and not any(bool(value) for value in matcher._values.values())


def _garbage(file: str, first: Finding) -> Finding:
    return error(
        "garbage",
        Place(file, first.place.line),
        f"this is no zmount.conf: {first.what}, and so on",
        hint="zmount adopt, if this is a zeo.conf or zope.conf",
    )
