"""Hosts and ZEO servers, from their sections."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

from zmount.errors import TopologyError
from zmount.topology.addresses import Address, parse_address
from zmount.topology.hosts import Host
from zmount.topology.logs import LOG_KEYS, Log
from zmount.topology.options import Options
from zmount.topology.places import NOWHERE, Place
from zmount.topology.said import Said, free_options, is_none, key_options, path_in, raw_section
from zmount.topology.zeo import ZEO_KEYS, Tls, ZeoServer

RUNNER_KEYS = frozenset(
    "backoff-limit forever exit-codes start-timeout stop-timeout start-test-program umask "
    "hang-around default-to-interactive socket-name transcript logfile prompt python zdrun "
    "daemon".split()
)


def build_hosts(said: Said) -> None:
    """Fill in ``said.hosts``; a file without hosts has one, called localhost."""
    directory = PurePosixPath(said.file).parent / (said.top.directory or "")
    venv = said.top.venv or "venv"
    for section in said.top.hosts:
        name = section.getSectionName()
        base = directory / (section.directory or "")
        said.hosts[name] = Host(
            name=name,
            address=section.address or name,
            directory=base,
            venv=path_in(base, section.venv or venv),
            place=section.place,
        )
    if not said.hosts:
        said.hosts["localhost"] = Host(
            name="localhost",
            address="localhost",
            directory=directory,
            venv=path_in(directory, venv),
            place=said.top.place,
        )


def host_named(said: Said, name: str | None, place: Place) -> Host:
    """Return the host NAME, or the first one if NAME is not said or unknown."""
    if name is None:
        return next(iter(said.hosts.values()))
    if name not in said.hosts:
        hint = said.nearest(name, said.hosts) or f"<host {name}>"
        said.wrong("unknown-host", place, f"there is no host {name!r}", hint=hint)
        return next(iter(said.hosts.values()))
    return said.hosts[name]


def build_zeo_servers(said: Said) -> tuple[ZeoServer, ...]:
    """Return the ZEO servers, in the order of the file."""
    return tuple(_zeo_server(said, section) for section in said.top.zeo_servers)


def _zeo_server(said: Said, section: Any) -> ZeoServer:
    name = section.getSectionName()
    place = section.place
    host = host_named(said, section.host, place.of("host"))
    directory = path_in(host.directory, section.directory or name)
    default_host = "127.0.0.1" if len(said.hosts) == 1 else host.address
    eventlog = raw_section(section, "eventlog")
    return ZeoServer(
        name=name,
        host=host,
        directory=directory,
        address=address_said(
            said, section.address or "8100", place.of("address"), directory, default_host
        ),
        venv=path_in(host.directory, section.venv) if section.venv else host.venv,
        log=build_log(section.log, said.top.log, directory, "zeo.log"),
        tls=build_tls(said, section.ssl, directory),
        options=key_options(section, ZEO_KEYS),
        runner=build_runner(said, section),
        environment=free_options(section.environment),
        eventlog=eventlog,
        imports=said.imports if eventlog is not None else (),
        user=section.user or said.top.user or "",
        autostart=is_on(section.autostart, default=True),
        place=place,
    )


def build_runner(said: Said, section: Any) -> Options:
    """Return how the process of SECTION is kept alive, with what holds for all."""
    return key_options(section.runner, RUNNER_KEYS).over(key_options(said.top.runner, RUNNER_KEYS))


def address_said(
    said: Said, text: str, place: Place, directory: PurePosixPath, default_host: str
) -> Address:
    """Return the address TEXT; a socket's path is relative to DIRECTORY."""
    try:
        address = parse_address(text, default_host=default_host)
    except TopologyError as why:
        said.wrong("address", place, str(why), hint=why.hint)
        return Address(host=default_host, port=0)  # which no rule takes for a port
    if address.socket is not None:
        return Address(socket=path_in(directory, str(address.socket)))
    return address


def build_log(section: Any, defaults: Any, directory: PurePosixPath, file_name: str) -> Log:
    """Return the log that SECTION describes, by default FILE_NAME in ``log/``."""
    own, common = key_options(section, LOG_KEYS), key_options(defaults, LOG_KEYS)
    if "when" in own and "max-size" not in own:
        common = common.without("max-size")
    if "max-size" in own and "when" not in own:
        common = common.without("when", "interval")
    nearest = section if section is not None else defaults
    said = section.path if section is not None else None
    if said is None and defaults is not None and is_none(defaults.path):
        said = "none"
    return Log(
        path=None if is_none(said) else path_in(directory, said or f"log/{file_name}"),
        options=own.over(common),
        place=nearest.place if nearest is not None else NOWHERE,
    )


def build_tls(said: Said, section: Any, directory: PurePosixPath) -> Tls | None:
    """Return the TLS settings of SECTION; its files are relative to DIRECTORY."""
    if section is None:
        return None
    if section.key_passphrase and section.password_function:
        said.wrong(
            "tls-passphrase-twice",
            section.place,
            "<ssl> has a key-passphrase and a password-function",
            hint="leave one of them out",
        )
    authenticate = section.authenticate or ""
    if authenticate and authenticate not in ("SIGNED", "DYNAMIC"):
        authenticate = str(path_in(directory, authenticate))
    return Tls(
        certificate=path_in(directory, section.certificate),
        key=path_in(directory, section.key) if section.key else None,
        passphrase=section.key_passphrase,
        password_function=section.password_function or "",
        authenticate=authenticate,
        check_hostname=section.check_hostname or "",
        server_hostname=section.server_hostname or "",
        place=section.place,
    )


def is_on(text: str | None, *, default: bool) -> bool:
    """Return the truth of a boolean that was said, or DEFAULT."""
    return default if text is None else text.lower() in ("on", "yes", "true", "1")
