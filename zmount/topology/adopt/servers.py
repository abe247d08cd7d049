"""ZEO servers, from their zeo.conf."""

from __future__ import annotations

from pathlib import PurePosixPath

from zmount.errors import AdoptError
from zmount.topology.adopt.conf_files import ConfFile, keys_of, sections_of
from zmount.topology.adopt.found import Server
from zmount.topology.adopt.notes import Notes
from zmount.topology.adopt.processes import eventlog, running
from zmount.topology.places import Place
from zmount.topology.sections import RawSection
from zmount.topology.zeo import ZEO_KEYS

_NOT_STORAGES = ("zeo", "eventlog", "runner", "logger", "environment", "")


def zeo_server(conf: ConfFile, name: str, runner: RawSection | None, notes: Notes) -> Server:
    """Return the server that CONF describes; RUNNER is its zdaemon.conf's.

    :raises AdoptError: it says nowhere where to listen
    """
    zeo = sections_of(conf.top, "zeo")[0]
    keys = keys_of(zeo)
    if not keys.text("address"):
        raise AdoptError(f"{zeo.place}: <zeo> has no address", hint="address HOST:PORT")
    for key in keys:
        if key not in ZEO_KEYS and key != "address":
            notes.dropped(zeo.place.of(key), key, within="<zeo>")
    for key, _ in conf.top.keys:
        notes.dropped(conf.top.place.of(key), key, within="zeo.conf")
    directory = zeo_directory(conf)
    options = keys.only(ZEO_KEYS)
    if options.text("pid-filename") == str(directory / "var" / "zeo.pid"):
        options = options.without("pid-filename")  # zmount's own default
    ssl = sections_of(zeo, "ssl")
    logs = sections_of(conf.top, "eventlog")
    if not logs:
        _note_log(conf.file, notes)
    own_runner = sections_of(conf.top, "runner")
    return Server(
        name=name,
        directory=directory,
        address=keys.text("address"),
        keys=options,
        ssl=ssl[0] if ssl else None,
        log=eventlog(logs[0] if logs else None),
        running=running(own_runner[0] if own_runner else runner, directory, notes),
        storages=tuple(_storages(conf, notes)),
        place=zeo.place,
    )


def zeo_directory(conf: ConfFile) -> PurePosixPath:
    """Return the directory of the server that CONF describes.

    That is what it calls INSTANCE, else what holds its var/ or log/, else what
    holds the file itself. A file that lies deeper in what holds var/ or log/ is
    of a server that shares these.
    """
    said = conf.defines.get("instance") or conf.defines.get("instance_home")
    if said and said.startswith("/"):
        return PurePosixPath(said)
    zeo = sections_of(conf.top, "zeo")
    paths = [PurePosixPath(keys_of(section).text("pid-filename")) for section in zeo]
    paths += [
        PurePosixPath(keys_of(logfile).text("path"))
        for log in sections_of(conf.top, "eventlog")
        for logfile in sections_of(log, "logfile")
    ]
    here = beside(PurePosixPath(conf.file))
    for path in paths:
        if path.is_absolute() and path.parent.name in ("var", "log"):
            holder = path.parent.parent
            return here if here.is_relative_to(holder) else holder
    return here


def beside(file: PurePosixPath) -> PurePosixPath:
    """Return the directory that FILE configures: what holds the etc/ it is in."""
    return file.parent.parent if file.parent.name == "etc" else file.parent


def _storages(conf: ConfFile, notes: Notes) -> list[RawSection]:
    found = []
    for section in conf.top.sections:
        if section.type in _NOT_STORAGES:
            if section.type in ("logger", "environment"):
                notes.dropped(section.place, f"<{section.type}>", within="zeo.conf")
            continue
        if not section.name:
            raise AdoptError(
                f"{section.place}: <{section.type}> has no name",
                hint=f"<{section.type} 1>: its clients ask for it by name",
            )
        found.append(section)
    if not found:
        raise AdoptError(f"{conf.file}: the ZEO server has no storage")
    return found


def _note_log(file: str, notes: Notes) -> None:
    notes.say(
        "log-added",
        Place(file),
        "it has no <eventlog>; zmount's will log to log/zeo.log in the server's directory",
    )
