"""zeo.conf of a ZEO server."""

from __future__ import annotations

from pathlib import PurePosixPath

from zmount.render.storage_section import imports_of, storage_section, tls_keys
from zmount.render.text import ZConfigText
from zmount.topology.addresses import Address
from zmount.topology.logs import Log
from zmount.topology.storages import Storage
from zmount.topology.zeo import ZeoServer

OLD_FILES = "5"  # rotated log files that are kept, where nothing else is said


def zeo_conf(server: ZeoServer, storages: tuple[Storage, ...]) -> str:
    """Return the text of SERVER's zeo.conf, which serves STORAGES."""
    return str(zeo_conf_text(server, storages))


def zeo_conf_text(server: ZeoServer, storages: tuple[Storage, ...]) -> ZConfigText:
    """The same, knowing whether a secret stands in it."""
    text = ZConfigText()
    text.comment(f"ZEO server {server.name} on {server.host.name}")
    imports = server.imports + tuple(name for one in storages for name in imports_of(one))
    # clients' component: it has an <ssl>, and so has the schema of servers
    text.imports(tuple(name for name in imports if name != "ZEO"))
    text.add("")
    with text.section("zeo"):
        text.key("address", binding(server.address))
        text.key("pid-filename", server.pid_filename)
        text.options(server.options.without("pid-filename"))
        if server.tls is not None:
            with text.section("ssl"):
                text.options(tls_keys(server.tls).without("check-hostname", "server-hostname"))
    for storage in storages:
        text.add("")
        storage_section(text, storage, name=storage.zeo_name)
    if server.eventlog is not None:
        text.add("")
        text.raw(server.eventlog)
    elif server.log.path is not None:
        text.add("")
        eventlog(text, server.log, server.log.path)
    return text


def binding(address: Address) -> str:
    """Return ADDRESS as ZConfig takes one to listen on."""
    return f":{address.port}" if address.host == "*" else str(address)


def eventlog(text: ZConfigText, log: Log, path: PurePosixPath) -> None:
    """Append the ``<eventlog>`` that writes LOG to PATH."""
    options = log.options
    with text.section("eventlog"):
        text.key("level", log.level)
        with text.section("logfile"):
            text.key("path", path)
            text.options(options.only(frozenset(("format",))))
            if "date-format" in options:
                text.key("dateformat", options.text("date-format"))
            if log.rotates_itself:
                # ZConfig refuses to rotate without old-files
                text.key("old-files", options.text("old-files", OLD_FILES))
                text.options(options.only(frozenset(("max-size", "when", "interval"))))
