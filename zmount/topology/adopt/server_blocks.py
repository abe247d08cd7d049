"""ZEO servers and storages as sections of zmount.conf."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from zmount.errors import AdoptError
from zmount.topology.addresses import Address
from zmount.topology.adopt.clients import Mounted, bound
from zmount.topology.adopt.conf_files import keys_of, shown
from zmount.topology.adopt.found import Deployment, Logging, Running, Served, Server
from zmount.topology.adopt.naming import within
from zmount.topology.adopt.notes import Notes
from zmount.topology.adopt.writing import Keys, block, block_if_any, one
from zmount.topology.options import Options, Value
from zmount.topology.sections import RawSection
from zmount.topology.storages import FILESTORAGE_KEYS


def server_block(server: Server, deployment: Deployment) -> RawSection:
    """Return the ``<zeo>`` section of SERVER."""
    home = within(server.directory, deployment.directory)
    keys = one("address", _address(bound(server)))
    if home != server.name:
        keys += one("directory", home)
    keys += process_keys(server.running, deployment)
    return block(
        "zeo",
        server.name,
        keys=Options((*keys, *server.keys.items_)),
        sections=(
            ssl_block(server.ssl),
            log_block("log", server.log, server.directory, "zeo.log"),
            server.log.raw,
            runner_block(server.running, server.directory, server.log.path or "log/zeo.log"),
            block_if_any("environment", server.running.environment),
        ),
    )


def served_block(
    storage: Served, deployment: Deployment, *, site: str, notes: Notes
) -> RawSection | None:
    """Return the ``<storage>`` section of STORAGE, None if SITE or <session> implies it all."""
    keys: Keys = ()
    if len(deployment.servers) > 1 and not site:
        keys += one("server", storage.server)
    if storage.served_as != storage.name:
        keys += one("served-as", storage.served_as)
    if storage.section.type != "filestorage":
        return block("storage", storage.name, keys=Options(keys), sections=(_raw(storage.section),))
    server = next(each for each in deployment.servers if each.name == storage.server)
    section = _with_absolute_paths(storage.section, server.directory, notes)
    default = deployment.directory / "var" / storage.name
    files = filestorage_keys(section, default, deployment, notes)
    made = block("storage", storage.name, keys=Options((*keys, *files.items_)))
    return made if made.keys or not site else None


def local_block(
    mount: Mounted, home: PurePosixPath, deployment: Deployment, notes: Notes
) -> RawSection | None:
    """Return the ``<storage>`` that an instance in HOME opens itself, None if implied."""
    is_root = mount.database.is_root
    section = mount.database.storage
    keys = one("server", "none") if deployment.servers and not is_root else ()
    if section.type != "filestorage":
        return block("storage", mount.storage, keys=Options(keys), sections=(_raw(section),))
    default = home / "var" if is_root else deployment.directory / "var" / mount.storage
    files = filestorage_keys(_with_absolute_paths(section, home, notes), default, deployment, notes)
    made = block("storage", mount.storage, keys=Options((*keys, *files.items_)))
    return made if made.keys or not is_root else None


def filestorage_keys(
    section: RawSection, default: PurePosixPath, deployment: Deployment, notes: Notes
) -> Options:
    """Return what a ``<filestorage>`` says beyond what zmount implies.

    DEFAULT is the directory that zmount expects its files in.

    :raises AdoptError: SECTION has no path
    """
    keys = keys_of(section)
    for key in keys:
        if key not in FILESTORAGE_KEYS and key not in ("path", "blob-dir"):
            notes.dropped(section.place.of(key), key, within="<filestorage>")
    if "path" not in keys:
        raise AdoptError(f"{section.place}: <filestorage> has no path")
    path, blobs = PurePosixPath(keys.text("path")), keys.text("blob-dir")
    base = deployment.directory
    said: Keys = ()
    if path != default / "Data.fs":
        said += one("path", within(path, base))
    if not blobs:
        said += one("blob-dir", "none")
    elif PurePosixPath(blobs) != path.parent / "blobs":
        said += one("blob-dir", within(blobs, base))
    if keys.text("packer") == deployment.packer:
        keys = keys.without("packer")
    return Options((*said, *keys.only(FILESTORAGE_KEYS).items_))


def log_block(
    type_: str, log: Logging, directory: PurePosixPath, file_name: str
) -> RawSection | None:
    """Return a ``<log>`` or ``<access-log>``, None if zmount implies it."""
    keys = log.options.items_
    if log.path and log.path != str(directory / "log" / file_name):
        keys = (*one("path", within(log.path, directory)), *keys)
    return block_if_any(type_, Options(keys))


def process_keys(running: Running, deployment: Deployment) -> Keys:
    """Return a process' venv and user."""
    keys: Keys = ()
    if running.venv and running.venv != deployment.venv:
        keys += one("venv", within(running.venv, deployment.directory))
    if running.user and running.user != deployment.user:
        keys += one("user", running.user)
    return keys


def runner_block(running: Running, directory: PurePosixPath, log: str) -> RawSection | None:
    """Return a ``<runner>`` less what zmount implies; LOG is the process' own."""
    implied = {
        "socket-name": directory / "var" / "zdsock",
        "transcript": directory / "log" / "transcript.log",
        "logfile": directory / log,
    }
    return block_if_any(
        "runner",
        running.options.without(
            *(key for key, path in implied.items() if running.options.text(key) == str(path))
        ),
    )


def ssl_block(section: RawSection | None) -> RawSection | None:
    """Return SECTION, an ``<ssl>``, as zmount.conf has it: the same."""
    return None if section is None else replace(section, name="")


def _with_absolute_paths(section: RawSection, home: PurePosixPath, notes: Notes) -> RawSection:
    """Return a ``<filestorage>`` whose paths are absolute: those of a process living in HOME."""

    def absolute(key: str, value: Value) -> Value:
        if key not in ("path", "blob-dir") or not isinstance(value, str):
            return value
        if value.startswith(("/", "\ue000")):  # or begins with a $(NAME)
            return value
        path = str(Path(value).expanduser() if value[0] == "~" else home / value)
        notes.say(
            "relative-path",
            section.place.of(key),
            f"{key} {shown(value)} is taken to be {path}",
            why="it depends on who starts the process, and where",
        )
        return path

    return replace(section, keys=tuple((key, absolute(key, value)) for key, value in section.keys))


def _raw(section: RawSection) -> RawSection:
    return replace(section, name="")


def _address(address: Address) -> str:
    return f":{address.port}" if address.socket is None and not address.host else str(address)
