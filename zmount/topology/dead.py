"""Options that once worked, and what to write today.

From facts seen on Zope 6.3 and ZEO 6.2: their schemas refuse every one of
these, or accept and ignore it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeadOption:
    """Why an option is gone, and what to write instead."""

    why: str
    instead: str


_NO_ZSERVER = "Zope is a WSGI application since Zope 4; there is no ZServer"
_NO_AUTH = "ZEO has no password authentication since ZEO 5"
_NO_ZDAEMON_IN_ZOPE = "Zope does not start itself; a process manager does"
_NO_LOGGING = "Zope's logging is configured in zope.ini since Zope 4"
_NO_SWITCH = "Zope dropped this switch, with what it was for"

_DEAD = {
    "authentication-database": DeadOption(_NO_AUTH, "<ssl> in <zeo> and in <client>"),
    "authentication-protocol": DeadOption(_NO_AUTH, "<ssl> in <zeo> and in <client>"),
    "authentication-realm": DeadOption(_NO_AUTH, "<ssl> in <zeo> and in <client>"),
    "auth-realm": DeadOption(_NO_AUTH, "<ssl> in <zeo> and in <client>"),
    "password": DeadOption(_NO_AUTH, "<ssl> in <zeo> and in <client>"),
    "username": DeadOption(_NO_AUTH, "<ssl> in <zeo> and in <client>"),
    "realm": DeadOption(_NO_AUTH, "<ssl> in <zeo> and in <client>"),
    "zeo-username": DeadOption(_NO_AUTH, "<ssl> in <zeo> and in <client>"),
    "zeo-password": DeadOption(_NO_AUTH, "<ssl> in <zeo> and in <client>"),
    "zeo-realm": DeadOption(_NO_AUTH, "<ssl> in <zeo> and in <client>"),
    "pack-user": DeadOption(_NO_AUTH, "nothing: zmount pack needs no password"),
    "pack-password": DeadOption(_NO_AUTH, "nothing: zmount pack needs no password"),
    "monitor-address": DeadOption("ZEO 5 dropped the monitor port", "zmount status --json"),
    "port-base": DeadOption(_NO_ZSERVER, "http-address of each <instance>"),
    "ip-address": DeadOption(_NO_ZSERVER, "http-address HOST:PORT"),
    "http-header-max-length": DeadOption(_NO_ZSERVER, "max-request-header-size in <waitress>"),
    "http-force-connection-close": DeadOption(_NO_ZSERVER, "nothing: waitress decides"),
    "ftp-address": DeadOption(_NO_ZSERVER, "nothing: FTP is gone"),
    "webdav-address": DeadOption(_NO_ZSERVER, "webdav-source-port"),
    "webdav-force-connection-close": DeadOption(_NO_ZSERVER, "nothing: waitress decides"),
    "icp-address": DeadOption(_NO_ZSERVER, "nothing: ICP is gone"),
    "zserver-threads": DeadOption(_NO_ZSERVER, "threads"),
    "zserver-read-only-mode": DeadOption(_NO_ZSERVER, "read-only in <client>"),
    "cgi-environment": DeadOption(_NO_ZSERVER, "<environment>"),
    "clock-server": DeadOption(_NO_ZSERVER, "cron and an HTTP request"),
    "effective-user": DeadOption(_NO_ZDAEMON_IN_ZOPE, "user"),
    "lock-filename": DeadOption(_NO_ZDAEMON_IN_ZOPE, "nothing: the Data.fs has its own lock"),
    "lock-file": DeadOption(_NO_ZDAEMON_IN_ZOPE, "nothing: the Data.fs has its own lock"),
    "pid-file": DeadOption("it is called otherwise", "pid-filename"),
    "client-home": DeadOption("it is called otherwise", "clienthome"),
    "zeo-client-name": DeadOption(
        "persistent ZEO caches belong to one storage", "cache-path in <client>"
    ),
    "zeo-client-client": DeadOption(
        "it makes file names of storage names with '/' in them", "cache-path in <client>"
    ),
    "path": DeadOption("Zope does not extend sys.path", "packages installed in the venv"),
    "products": DeadOption(
        "instancehome/Products is gone since Zope 4", "product NAME, a package in the venv"
    ),
    "extensions": DeadOption(
        "Zope looks in instancehome/Extensions only", "put External Methods there"
    ),
    "enable-product-installation": DeadOption("products are always installed", "nothing"),
    "deprecation-warnings": DeadOption(
        "it is Python's business", "PYTHONWARNINGS in <environment>"
    ),
    "session-timeout-minutes": DeadOption(
        "Zope creates no session container itself", "timeout-minutes in <session>"
    ),
    "maximum-number-of-session-objects": DeadOption(
        "Zope creates no session container itself", "max-objects in <session>"
    ),
    "session-add-notify-script-path": DeadOption("Products.Sessions reads no zope.conf", "nothing"),
    "session-delete-notify-script-path": DeadOption(
        "Products.Sessions reads no zope.conf", "nothing"
    ),
    "session-resolution-seconds": DeadOption("Products.Sessions reads no zope.conf", "nothing"),
    "dns-server": DeadOption(_NO_ZSERVER, "nothing: a log of addresses is resolved afterwards"),
    "large-file-threshold": DeadOption(_NO_ZSERVER, "outbuf-overflow in <waitress>"),
    "max-listen-sockets": DeadOption(_NO_ZSERVER, "connection-limit in <waitress>"),
    "cgi-maxlen": DeadOption(_NO_ZSERVER, "max-request-body-size in <waitress>"),
    "use-daemon-process": DeadOption(_NO_ZDAEMON_IN_ZOPE, "daemon in <runner>"),
    "publisher-profile-file": DeadOption(
        "profiling is WSGI's business", "filter, repoze.profile for example"
    ),
    "database-quota-size": DeadOption("it is the storage's business", "quota in <storage>"),
    "read-only-database": DeadOption("it is the storage's business", "read-only in <storage>"),
    "suppress-all-access-rules": DeadOption(_NO_SWITCH, "nothing"),
    "suppress-all-site-roots": DeadOption(_NO_SWITCH, "nothing"),
    "structured-text-header-level": DeadOption(_NO_SWITCH, "nothing"),
    "rest-header-level": DeadOption(_NO_SWITCH, "nothing"),
    "rest-input-encoding": DeadOption(_NO_SWITCH, "nothing"),
    "rest-output-encoding": DeadOption(_NO_SWITCH, "nothing"),
    "rest-language-code": DeadOption(_NO_SWITCH, "nothing"),
    "enable-ms-author-via": DeadOption(_NO_SWITCH, "enable-ms-public-header"),
    "conflict-error-log-level": DeadOption(_NO_LOGGING, "<ini logger_...> in <instance>"),
    "event-log-max-size": DeadOption(_NO_LOGGING, "max-size in <log>"),
    "event-log-old-files": DeadOption(_NO_LOGGING, "old-files in <log>"),
    "access-log-max-size": DeadOption(_NO_LOGGING, "max-size in <access-log>"),
    "access-log-old-files": DeadOption(_NO_LOGGING, "old-files in <access-log>"),
    "logger": DeadOption(_NO_LOGGING, "<log>"),
    "eventlog": DeadOption(_NO_LOGGING, "<log>"),
    "http-server": DeadOption(_NO_ZSERVER, "http-address"),
    "webdav-source-server": DeadOption(_NO_ZSERVER, "webdav-source-port"),
    "ftp-server": DeadOption(_NO_ZSERVER, "nothing: FTP is gone"),
    "icp-server": DeadOption(_NO_ZSERVER, "nothing: ICP is gone"),
    "fcgi-server": DeadOption(_NO_ZSERVER, "http-address, and a proxy that speaks HTTP"),
    "pcgi-server": DeadOption(_NO_ZSERVER, "http-address, and a proxy that speaks HTTP"),
    "persistent-cgi": DeadOption(_NO_ZSERVER, "http-address, and a proxy that speaks HTTP"),
    "monitor-server": DeadOption(_NO_ZSERVER, "zmount status"),
    "warnfilter": DeadOption("it is Python's business", "PYTHONWARNINGS in <environment>"),
    "version-pool-size": DeadOption("ZODB versions are gone", "pool-size"),
    "version-cache-size": DeadOption("ZODB versions are gone", "cache-size"),
    "version-cache-size-bytes": DeadOption("ZODB versions are gone", "cache-size-bytes"),
}


def dead_option(key: str) -> DeadOption | None:
    """Return why KEY is gone, or None if it never lived or lives still."""
    return _DEAD.get(key.lower().replace("_", "-"))
