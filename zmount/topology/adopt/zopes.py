"""Zope instances, from their zope.conf of any age and what stands beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from zmount.errors import AdoptError
from zmount.topology.adopt.conf_files import ConfFile, keys_of, plain, sections_of
from zmount.topology.adopt.databases import databases
from zmount.topology.adopt.found import Http, Logging, Running, Zope
from zmount.topology.adopt.http import http
from zmount.topology.adopt.ini_files import IniFile
from zmount.topology.adopt.notes import Notes
from zmount.topology.adopt.processes import eventlog, running
from zmount.topology.adopt.servers import beside
from zmount.topology.build_instances import DOS_KEYS
from zmount.topology.instances import ZOPE_KEYS
from zmount.topology.options import Options
from zmount.topology.sections import RawSection

_OWN_SECTIONS = ("zodb_db", "environment", "dos_protection", "product-config", "runner")
# Sections of Zope 2 and 3 whose content goes on elsewhere, or is gone.
_OLD_SECTIONS = frozenset(
    "eventlog logger http-server webdav-source-server ftp-server icp-server fcgi-server "
    "pcgi-server monitor-server persistent-cgi clock-server warnfilter cgi-environment".split()
)
# Old keys that go on under another name in zmount.conf.
_RENAMED = {"client-home": "clienthome", "pid-file": "pid-filename"}
_ZSERVER_KEYS = ("zserver-threads", "port-base", "ip-address")
_ZSERVER_SECTIONS = ("eventlog", "logger", "http-server")
_OLD_KEYS = (*_ZSERVER_KEYS, "effective-user", "instancehome")


def zope(
    conf: ConfFile, name: str, ini: IniFile | None, runner: RawSection | None, notes: Notes
) -> Zope:
    """Return the instance that CONF describes; INI and RUNNER may stand beside it."""
    keys = keys_of(conf.top)
    own_runner = sections_of(conf.top, "runner")
    process = running(own_runner[0] if own_runner else runner, zope_directory(conf), notes)
    if "effective-user" in keys and not process.user:
        process = replace(process, user=keys.text("effective-user"))
        notes.became(conf.top.place.of("effective-user"), "effective-user", "user")
    for section in sections_of(conf.top, "environment", "dos_protection"):
        _only_once(conf, section)
    return Zope(
        name=name,
        directory=zope_directory(conf),
        keys=_zope_keys(conf, keys, notes),
        databases=databases(sections_of(conf.top, "zodb_db"), notes),
        environment=_environment(conf, process, notes),
        dos_protection=_dos_protection(conf, notes),
        product_config=sections_of(conf.top, "product-config"),
        unknown=_unknown(conf, notes),
        http=_http(conf, keys, ini, notes),
        running=process,
        place=conf.top.place,
    )


def zope_directory(conf: ConfFile) -> PurePosixPath:
    """Return the instance home; what holds the file if it is not said."""
    said = keys_of(conf.top).text("instancehome") or conf.defines.get("instance", "")
    return PurePosixPath(said) if said.startswith("/") else beside(PurePosixPath(conf.file))


def _zope_keys(conf: ConfFile, keys: Options, notes: Notes) -> Options:
    found = []
    for key, values in keys.items_:
        place = conf.top.place.of(key)
        if key in ZOPE_KEYS:
            found.append((key, values))
        elif key in _RENAMED:
            found.append((_RENAMED[key], values))
            notes.became(place, key, _RENAMED[key])
        elif key not in _OLD_KEYS:
            notes.dropped(place, key, within="zope.conf")
    said = Options(tuple(found))
    var = zope_directory(conf) / "var"
    if PurePosixPath(said.text("clienthome")) == var:
        said = said.without("clienthome")
    home = PurePosixPath(said.text("clienthome", str(var)))
    if PurePosixPath(said.text("pid-filename")) == home / "Z4.pid":
        said = said.without("pid-filename")
    return said


def _section_keys(conf: ConfFile, type_: str) -> Options:
    found = sections_of(conf.top, type_)
    return keys_of(found[0]) if found else Options()


def _environment(conf: ConfFile, process: Running, notes: Notes) -> Options:
    """Return what Zope sets in its environment, over what its process has."""
    own = _section_keys(conf, "environment")
    for key in process.environment:
        if key not in own:
            notes.became(process.environment_place, key, "<environment>")
    return own.over(process.environment)


def _dos_protection(conf: ConfFile, notes: Notes) -> Options:
    keys = _section_keys(conf, "dos_protection")
    for section in sections_of(conf.top, "dos_protection"):
        for key in keys:
            if key not in DOS_KEYS:
                notes.dropped(section.place.of(key), key, within="<dos_protection>")
    return keys.only(DOS_KEYS)


def _only_once(conf: ConfFile, section: RawSection) -> None:
    first = sections_of(conf.top, section.type)[0]
    if section is not first:
        raise AdoptError(f"{section.place}: a second <{section.type}>, after {first.place}")


def _unknown(conf: ConfFile, notes: Notes) -> tuple[RawSection, ...]:
    """Return the sections that a product's schema component may know."""
    kept = []
    for section in conf.top.sections:
        if section.type in _OWN_SECTIONS or section.type in _ZSERVER_SECTIONS:
            continue
        if conf.imports and section.type not in _OLD_SECTIONS:
            kept.append(section)
            notes.say(
                "kept-raw",
                section.place,
                f"<{section.type}> is kept in <zope-conf> as it is",
                why=f"the schema of {' or '.join(conf.imports)} may know it",
            )
        else:
            notes.dropped(section.place, f"<{section.type}>", within="zope.conf")
    return tuple(kept)


def _http(conf: ConfFile, keys: Options, ini: IniFile | None, notes: Notes) -> Http:
    if ini is None:
        found = _zserver(conf, keys, notes)
    else:
        found = http(ini, notes)
        _note_zserver(conf, keys, notes)
    if not found.address:
        notes.say(
            "no-http-address",
            conf.top.place if ini is None else ini.place("server:main"),
            "the HTTP address is not known",
            why="no ini file runs this zope.conf" if ini is None else "[server:main] says none",
            hint="http-address HOST:PORT",
        )
    return found


def _note_zserver(conf: ConfFile, keys: Options, notes: Notes) -> None:
    """Note what a zope.conf says of HTTP and logs although its ini file does."""
    for key in _ZSERVER_KEYS:
        if key in keys:
            notes.dropped(conf.top.place.of(key), key, within="zope.conf")
    for section in sections_of(conf.top, *_ZSERVER_SECTIONS):
        notes.dropped(section.place, f"<{section.type}>", within="zope.conf")


def _zserver(conf: ConfFile, keys: Options, notes: Notes) -> Http:
    """Return what a zope.conf of Zope 2 or 3 says of HTTP and logs."""
    top = conf.top
    address = ""
    for at, server in enumerate(sections_of(top, "http-server")):
        if at:
            notes.dropped(server.place, "<http-server>", within="zope.conf")
            continue
        address = _zserver_address(keys_of(server).text("address", "8080"), keys)
        notes.became(server.place, "<http-server>", f"http-address {address}")
    threads = keys.text("zserver-threads")
    if threads:
        notes.became(top.place.of("zserver-threads"), "zserver-threads", "threads")
    log = access = Logging()
    for section in sections_of(top, "eventlog", "logger"):
        is_access = section.type == "logger" and section.name == "access"
        if section.type == "logger" and not is_access:
            notes.dropped(section.place, "<logger>", within="zope.conf")
            continue
        found = eventlog(section)
        if found.raw is not None:
            notes.dropped(section.place, f"<{section.type}>", within="zope.conf")
            continue
        notes.became(section.place, f"<{section.type}>", "<access-log>" if is_access else "<log>")
        log, access = (log, found) if is_access else (found, access)
    return Http(address=address, threads=threads, log=log, access_log=access)


def _zserver_address(said: str, keys: Options) -> str:
    """Return the address that ZServer listens on when <http-server> says SAID."""
    host, _, port = said.rpartition(":")
    base = plain(keys.get("port-base", ("0",))[-1])
    if port.isdigit() and base.isdigit():
        port = str(int(port) + int(base))
    return f"{host or keys.text('ip-address')}:{port}"
