"""How a Zope speaks HTTP and where it logs, from its zope.ini."""

from __future__ import annotations

import ast

from zmount.topology.adopt.found import Http, Logging
from zmount.topology.adopt.ini_files import IniFile
from zmount.topology.adopt.notes import Notes
from zmount.topology.adopt.writing import block
from zmount.topology.datatypes import waitress_key
from zmount.topology.logs import ACCESS_FORMAT, DATE_FORMAT, EVENT_FORMAT
from zmount.topology.options import Options, guard
from zmount.topology.sections import RawSection

_PIPELINE = ("egg:Zope#httpexceptions", "zope")
_SERVER = "egg:waitress#main"
_TRANSLOGGER = {"use": "egg:Paste#translogger", "setup_console_handler": "False"}
_FILE_HANDLERS = ("FileHandler", "handlers.WatchedFileHandler", "logging.FileHandler")


def http(ini: IniFile, notes: Notes) -> Http:
    """Return what INI says, and note what zmount has no words for."""
    server = dict(ini.section("server:main"))
    event, access = _log(ini, "root", notes), _log(ini, "wsgi", notes)
    pipeline = tuple(ini.section("pipeline:main").get("pipeline", "").split())
    if "translogger" not in pipeline and pipeline:
        access = Logging(path="none")
    implied = (*(("translogger",) if access.path != "none" else ()), *_PIPELINE)
    sections = list(_added(ini, pipeline))
    use = server.pop("use", _SERVER)
    if use != _SERVER:
        sections.insert(0, _ini("server:main", {"use": use}))
    address, listens = _address(server)
    _note_logging(ini, notes)
    return Http(
        address=address,
        threads=server.pop("threads", ""),
        waitress=_options(
            {waitress_key(key): text.replace("%%", "%") for key, text in (listens | server).items()}
        ),
        pipeline=pipeline if pipeline != implied else (),
        ini=tuple(section for section in sections if _fits(section, ini, notes)),
        log=event,
        access_log=access,
    )


def _address(server: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Take the address out of SERVER; also return what one address cannot say."""
    said = {
        key: server.pop(key)
        for key in ("listen", "fast-listen", "unix_socket", "host", "port")
        if key in server
    }
    listen = (said.get("listen") or said.get("fast-listen") or "").split()
    if len(listen) > 1:
        return _everywhere(listen[0]), {"listen": " ".join(listen)}
    if listen:
        return _everywhere(listen[0]), {}
    if "unix_socket" in said:
        return said["unix_socket"], {}
    if "host" in said or "port" in said:
        host, port = said.get("host", "0.0.0.0"), said.get("port", "8080")
        return f"[{host}]:{port}" if ":" in host else f"{_star(host)}:{port}", {}
    return "", {}


def _everywhere(listen: str) -> str:
    """Return waitress' address LISTEN; there a port alone is one of every interface."""
    host, colon, port = listen.rpartition(":")
    return f"{_star(host)}:{port}" if colon else f"0.0.0.0:{port}"


def _star(host: str) -> str:
    return "" if host == "*" else host


def _added(ini: IniFile, pipeline: tuple[str, ...]) -> list[RawSection]:
    """Return the sections of the pipeline that zmount would not write like this."""
    found = []
    for name, keys, _ in ini.sections:
        kind, colon, rest = name.partition(":")
        if not colon or name in ("server:main", "pipeline:main"):
            continue
        if name == "filter:translogger" and keys == _TRANSLOGGER:
            continue
        if name == "app:zope":
            keys = {key: text for key, text in keys.items() if key != "zope_conf"}
            if keys == {"use": "egg:Zope#main"} or not keys:
                continue
        if kind == "filter" and rest not in pipeline and "next" not in keys:
            continue  # nothing uses it
        found.append(_ini(name, keys))
    return found


def _fits(section: RawSection, ini: IniFile, notes: Notes) -> bool:
    """True if ZConfig can hold SECTION: it has no values of several lines."""
    for key, value in section.keys:
        if "\n" in str(value) or not str(value):
            notes.say(
                "ini",
                ini.place(section.name),
                f"[{section.name}] is not carried over",
                why=f"the value of {key} is not one line",
                hint=f"<ini {section.name}> takes it",
            )
            return False
    return True


def _log(ini: IniFile, logger: str, notes: Notes) -> Logging:
    """Return the log that LOGGER of INI writes to: its first handler that is a file."""
    section = f"logger_{logger}"
    said = ini.section(section)
    names = [name.strip() for name in said.get("handlers", "").split(",") if name.strip()]
    if not names:
        return Logging(path="none" if logger == "wsgi" else "")
    handlers = [(name, ini.section(f"handler_{name}")) for name in names]
    files = [name for name, keys in handlers if _path(keys)]
    chosen = files[0] if files else names[0]
    for name in names:
        if name != chosen:
            notes.say(
                "log-handler",
                ini.place(f"handler_{name}"),
                f"[handler_{name}] of logger {logger} is not carried over",
                why="a log of zmount has one handler",
                hint=f"<ini handler_{name}> and <ini logger_{logger}> with handlers",
            )
    keys = ini.section(f"handler_{chosen}")
    levels = {"level": said.get("level", "").lower()}
    if levels["level"] in ("", "info", "notset"):
        levels = {"level": keys.get("level", "").lower()}
    if levels["level"] in ("", "info", "notset"):
        levels = {}
    formats = _format(ini, keys, logger)
    path = _path(keys)
    if path and keys.get("class") in _FILE_HANDLERS:
        return Logging(path=path, options=_options(levels | formats))
    handler = {
        "handler": keys.get("class", ""),
        "handler-args": keys.get("args", "").replace("%%", "%"),
        "handler-kwargs": keys.get("kwargs", "").replace("%%", "%"),
    }
    return Logging(path=path, options=_options(levels | formats | handler))


def _path(handler: dict[str, str]) -> str:
    """Return the file that HANDLER writes to, or "" if that is not plain to see."""
    try:
        args = ast.literal_eval(handler.get("args", "()").replace("%%", "%"))
    except (ValueError, SyntaxError):
        return ""
    path = args[0] if isinstance(args, tuple) and args else None
    return path if isinstance(path, str) and path.startswith("/") else ""


def _format(ini: IniFile, handler: dict[str, str], logger: str) -> dict[str, str]:
    keys = ini.section(f"formatter_{handler.get('formatter', '')}")
    said = {"format": keys.get("format", ""), "date-format": keys.get("datefmt", "")}
    own = {
        "format": ACCESS_FORMAT if logger == "wsgi" else EVENT_FORMAT,
        "date-format": DATE_FORMAT,
    }
    return {
        key: text for key, text in said.items() if text and text != own[key] and "\n" not in text
    }


def _note_logging(ini: IniFile, notes: Notes) -> None:
    for name, _, _ in ini.sections:
        if name.startswith("logger_") and name not in ("logger_root", "logger_wsgi"):
            notes.say(
                "logger",
                ini.place(name),
                f"[{name}] is not carried over",
                why="its messages go where those of the root logger go",
                hint=f"<ini {name}> takes it",
            )


def _ini(name: str, keys: dict[str, str]) -> RawSection:
    return block("ini", name, keys=_options(keys))


def _options(keys: dict[str, str]) -> Options:
    return Options(tuple((key, (guard(key, text),)) for key, text in keys.items() if text))
