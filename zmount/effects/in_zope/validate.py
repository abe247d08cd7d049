"""Do generated files load where they will be read? For the readers' own Python.

Reads a request as JSON on stdin and writes the verdict as JSON on stdout::

    {"files": [{"path": ..., "reader": "zeo|zope|zdaemon|ini", "text": ...}],
     "importable": ["Products.Sessions", "our.policy:configure.zcml", ...],
     "packers": ["zmount.filestorage.packer.pack", ...]}

    [{"path": ..., "line": 0, "what": ...}]

``path`` is "" where a package, the file in it or a packer is not there; ``line`` is 0 for the
file as a whole. Nothing on disk is looked at: directories and certificates may be still to come.
"""

from __future__ import annotations

import configparser
import importlib
import importlib.util
import io
import json
import logging
import logging.config
import logging.handlers
import os
import re
import sys
import tempfile
import xml.sax
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Wrong = dict[str, Any]

# conversions of ZConfig and zdaemon that look at the disk
_STOCK = ("existing-directory", "existing-path", "existing-file", "existing-dirpath")
_ZDAEMON = ("existing_parent_directory", "existing_parent_dirpath")


def verdict(request: dict[str, Any]) -> list[Wrong]:
    """Return what is wrong with the files and packages of REQUEST."""
    schemas: dict[str, Any] = {}
    wrong: list[Wrong] = []
    for file in request["files"]:
        judge = _ini if file["reader"] == "ini" else _zconfig
        for line, what in judge(file["reader"], file["text"], schemas):
            wrong.append({"path": file["path"], "line": line, "what": what})
    for name in request.get("importable", ()):
        if not _is_importable(name):
            wrong.append({"path": "", "line": 0, "what": name})
    for name in request.get("packers", ()):
        if not _is_packer(name):
            wrong.append({"path": "", "line": 0, "what": name})
    return wrong


def _zconfig(reader: str, text: str, schemas: dict[str, Any]) -> Iterator[Any]:
    import ZConfig
    from ZConfig.loader import ConfigLoader

    if reader not in schemas:
        schemas[reader] = _schema(reader)
    try:
        ConfigLoader(schemas[reader]).loadFile(io.StringIO(text))
    except ZConfig.ConfigurationError as why:
        yield max(getattr(why, "lineno", None) or 0, 0), _brief(why.message)
    except (ValueError, ImportError) as why:
        yield 0, _brief(str(why))


def _schema(reader: str) -> Any:
    """Return READER's schema, with conversions that take names on trust."""
    from ZConfig.datatypes import Registry, stock_datatypes
    from ZConfig.loader import SchemaLoader

    stock = dict(stock_datatypes)
    stock.update((name, os.path.expanduser) for name in _STOCK)
    registry = Registry(stock)
    for name in _ZDAEMON:
        registry.register("zdaemon.zdoptions." + name, os.path.expanduser)
    registry.register("ZEO.zconfig.server_ssl", _server_ssl)
    registry.register("ZEO.zconfig.client_ssl", _client_ssl)
    loader = SchemaLoader(registry)
    package, file = {
        "zeo": ("ZEO", "schema.xml"),
        "zdaemon": ("zdaemon", "schema.xml"),
        "zope": ("Zope2.Startup", "wsgischema.xml"),
    }[reader]
    path = str(Path(str(importlib.import_module(package).__file__)).with_name(file))
    if reader != "zope":
        return loader.loadURL(path)
    # Zope's schema imports tempstorage only where it is installed
    options = importlib.import_module("Zope2.Startup.options")
    with loader.openResource(loader.normalizeURL(path)) as resource:
        parser = options.ConditionalSchemaParser(loader, resource.url)
        xml.sax.parse(resource.file, parser)
    return parser._schema


def _server_ssl(section: Any) -> Any:
    if section.password_function:
        _resolve(section.password_function)


def _client_ssl(section: Any) -> Any:
    _server_ssl(section)
    return None, section.server_hostname


def _ini(reader: str, text: str, schemas: dict[str, Any]) -> Iterator[Any]:
    """Judge a zope.ini as paste.deploy, waitress and logging will read it."""
    try:
        parser = configparser.ConfigParser({"here": "/", "__file__": "/zope.ini"})
        parser.read_string(text)
        yield from _logging(parser, text)
    except configparser.ParsingError as why:
        yield (why.errors or [(0, "")])[0][0], _brief(str(why))
    except configparser.Error as why:
        line = getattr(why, "lineno", None) or _line(text, getattr(why, "section", ""))
        yield line, _brief(str(why))
    else:
        yield from _paste(text)


def _paste(text: str) -> Iterator[Any]:
    loadwsgi = importlib.import_module("paste.deploy.loadwsgi")
    with tempfile.TemporaryDirectory() as directory:
        path = str(Path(directory, "zope.ini"))
        Path(path).write_text(text, encoding="utf-8")
        try:
            loadwsgi.loadcontext(loadwsgi.APP, "config:" + path)
            server = loadwsgi.loadcontext(loadwsgi.SERVER, "config:" + path)
        except (LookupError, ImportError, AttributeError, ValueError, configparser.Error) as why:
            yield _line_of_egg(text, str(why)), _brief(str(why).replace(path, "zope.ini"))
            return
    if server.object.__module__.partition(".")[0] == "waitress":
        adjustments = importlib.import_module("waitress.adjustments")
        try:
            adjustments.Adjustments(**_unresolved(server.local_conf))
        except (ValueError, TypeError) as why:
            yield _line(text, "server:main"), "waitress: " + _brief(str(why))


def _unresolved(keys: dict[str, str]) -> dict[str, str]:
    """Return waitress' KEYS without host names, which it would look up at once.

    A name may be known on the host that the file is for, and only there.
    """
    keys = dict(keys)
    if "host" in keys:
        keys["host"] = "127.0.0.1"
    if "listen" in keys:
        ports = (address.rpartition(":")[2] for address in keys["listen"].split())
        keys["listen"] = " ".join(f"127.0.0.1:{port}" for port in ports)
    return keys


def _logging(parser: configparser.ConfigParser, text: str) -> Iterator[Any]:
    """Read the sections of logging in the order of logging.config.fileConfig."""
    if not parser.has_section("loggers"):
        return
    handlers = _names(parser, "handlers", "keys")
    for name in handlers:
        section = "handler_" + name
        try:
            _handler_class(parser.get(section, "class"))
            for key in ("args", "kwargs"):
                # an expression, which logging evaluates as well
                eval(parser.get(section, key, fallback="()"), vars(logging))
        except (AttributeError, NameError, SyntaxError, TypeError, ValueError) as why:
            yield _line(text, section), f"logging: [{section}] {_brief(str(why))}"
    for name in _names(parser, "loggers", "keys"):
        section = "logger_" + name
        level = parser.get(section, "level", fallback="NOTSET")
        if not isinstance(logging.getLevelName(level), int):
            yield _line(text, section), f"logging: [{section}] unknown level {level}"
        for handler in _names(parser, section, "handlers"):
            if handler not in handlers:
                yield _line(text, section), f"logging: [{section}] no handler {handler}"


def _names(parser: configparser.ConfigParser, section: str, key: str) -> list[str]:
    return [name.strip() for name in parser.get(section, key).split(",") if name.strip()]


def _handler_class(name: str) -> Any:
    found: Any = logging
    for part in name.split("."):
        found = getattr(found, part, None)
    return found or _resolve(name)


def _resolve(name: str) -> Callable[..., Any]:
    module, _, attribute = name.rpartition(".")
    try:
        found: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as why:
        raise ValueError(f"{name} cannot be imported: {why}") from None
    return found


def _is_importable(name: str) -> bool:
    """True if there is a package NAME; for PACKAGE:FILE, if that file is in it."""
    package, _, file = name.partition(":")
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return False
    if spec is None or not file:
        return spec is not None
    places = spec.submodule_search_locations or [str(Path(spec.origin or "").parent)]
    return any(Path(place, file).exists() for place in places)


def _is_packer(name: str) -> bool:
    """True if ZODB.config finds the function NAME when a storage is opened."""
    module, colon, expression = name.partition(":")
    if not colon:
        module, _, expression = name.rpartition(".")
    try:
        found = importlib.import_module(module)
    except (ImportError, ValueError):
        return False
    # what is no name is evaluated there: the module is all that can be judged
    return not expression.isidentifier() or hasattr(found, expression)


def _line(text: str, section: str) -> int:
    """Return the line of [SECTION], or 0."""
    for number, line in enumerate(text.splitlines(), 1):
        if section and line.startswith(f"[{section}]"):
            return number
    return 0


def _line_of_egg(text: str, message: str) -> int:
    """Return the line that names the egg: of which MESSAGE speaks, or 0."""
    words = set(re.findall(r"[\w.-]+", message))
    found = [
        (len({distribution, entry} & words), -number)
        for number, line in enumerate(text.splitlines(), 1)
        for distribution, entry in re.findall(r"egg:([\w.-]+)#?([\w.-]*)", line)
    ]
    best = max(found, default=(0, 0))
    return -best[1] if best[0] else 0


def _brief(message: str) -> str:
    """Return MESSAGE on one line: of a traceback its first and last."""
    lines = [line.strip() for line in message.splitlines() if line.strip()] or ["it is not valid"]
    return lines[0] if len(lines) == 1 else lines[0] + ": " + lines[-1]


def main() -> None:
    """Answer the request on stdin; what imported code prints goes to stderr."""
    del sys.path[0]  # this script's directory, whose modules are not meant to be imported
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    json.dump(verdict(json.load(sys.stdin)), answer)
    answer.close()


if __name__ == "__main__":
    main()
