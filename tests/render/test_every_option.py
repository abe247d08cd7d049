"""Every option of the peers, and of the servers' own schemas, can be said in zmount.conf."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from topologies import files_of, topology_of
from Zope2.Startup.options import ZopeWSGIOptions

from zmount.effects.in_zope import validate as in_zope
from zmount.effects.validate import validate
from zmount.render.files import generated_files
from zmount.render.generated import Reader

ZEO = "<zeo zeo>\n{}\n</zeo>\n<storage content/>\n"
STORAGE = "<zeo zeo/>\n<storage content>\n{}\n</storage>\n"
TEMPORARY = "%import tempstorage\n" + STORAGE
INSTANCE = "<instance pub>\n{}\n</instance>\n"
TOP = "{}\n<instance pub/>\n"
MOUNTS = (
    "<zeo zeo/>\n<storage content/>\n{}\n"
    "<instance pub>\n  <mount content>\n    mount-point /content\n  </mount>\n</instance>\n"
)
MOUNT = (
    "<zeo zeo/>\n<storage content/>\n"
    "<instance pub>\n  <mount content>\n    mount-point /content\n{}\n  </mount>\n</instance>\n"
)
INI = INSTANCE
PLAIN_STORE = (
    "<storage extra>\n  server none\n  {}\n</storage>\n"
    "<instance pub>\n  <mount extra>\n    mount-point /extra\n  </mount>\n</instance>\n"
)


@dataclass(frozen=True, slots=True)
class Row:
    """An option, what is SAID in zmount.conf, and the line WRITTEN for READER."""

    option: str
    context: str
    said: str
    reader: Reader
    written: str

    @property
    def conf(self) -> str:
        return self.context.replace("{}", self.said)


def same(context: str, reader: Reader, section: str, *lines: str) -> Iterator[Row]:
    """Yield rows for options that are called the same on both sides."""
    for line in lines:
        key = line.split()[0]
        said = f"<{section}>\n{line}\n</{section}>" if section else line
        yield Row(f"{section or 'key'} {key}", context, said, reader, line)


ZEO_ROWS = [
    Row("zeo address", ZEO, "address 127.0.0.1:8123", "zeo", "address 127.0.0.1:8123"),
    Row(
        "zeo pid-filename", ZEO, "pid-filename var/x.pid", "zeo", "pid-filename {dir}/zeo/var/x.pid"
    ),
    *same(
        ZEO,
        "zeo",
        "",
        "read-only true",
        "invalidation-queue-size 250",
        "invalidation-age 3600",
        "transaction-timeout 90",
        "client-conflict-resolution true",
        "msgpack true",
    ),
    Row(
        "ssl certificate",
        ZEO,
        "<ssl>\ncertificate c.pem\nauthenticate a\n</ssl>",
        "zeo",
        "certificate {dir}/zeo/c.pem",
    ),
    Row(
        "ssl authenticate",
        ZEO,
        "<ssl>\ncertificate c.pem\nauthenticate SIGNED\n</ssl>",
        "zeo",
        "authenticate SIGNED",
    ),
    Row(
        "ssl key",
        ZEO,
        "<ssl>\ncertificate c\nkey k.pem\nauthenticate a\n</ssl>",
        "zeo",
        "key {dir}/zeo/k.pem",
    ),
    Row(
        "ssl password-function",
        ZEO,
        "<ssl>\ncertificate c\nkey k\npassword-function os.getcwd\nauthenticate a\n</ssl>",
        "zeo",
        "password-function os.getcwd",
    ),
    Row(
        "filestorage path", STORAGE, "path elsewhere/Data.fs", "zeo", "path {dir}/elsewhere/Data.fs"
    ),
    Row(
        "filestorage blob-dir",
        STORAGE,
        "blob-dir elsewhere/blobs",
        "zeo",
        "blob-dir {dir}/elsewhere/blobs",
    ),
    *same(
        STORAGE,
        "zeo",
        "",
        "create false",
        "read-only true",
        "quota 10GB",
        "packer ZODB.FileStorage.FileStorage.packer",
        "pack-gc false",
        "pack-keep-old false",
    ),
    Row(
        "mappingstorage",
        STORAGE,
        "<mappingstorage>\nname m\n</mappingstorage>",
        "zeo",
        "<mappingstorage content>",
    ),
    Row(
        "mappingstorage name",
        STORAGE,
        "<mappingstorage>\nname m\n</mappingstorage>",
        "zeo",
        "name m",
    ),
    Row(
        "demostorage",
        STORAGE,
        "<demostorage>\nname d\n<filestorage base>\npath b/Data.fs\n</filestorage>\n"
        "<mappingstorage changes/>\n</demostorage>",
        "zeo",
        "path {dir}/b/Data.fs",
    ),
    Row(
        "blobstorage blob-dir",
        STORAGE,
        "<blobstorage>\nblob-dir b\n<mappingstorage/>\n</blobstorage>",
        "zeo",
        "blob-dir {dir}/b",
    ),
    Row(
        "zeoclient (fan-out)",
        STORAGE,
        "<zeoclient>\nserver 127.0.0.1:8200\nstorage far\n</zeoclient>",
        "zeo",
        "server 127.0.0.1:8200",
    ),
    Row(
        "tempstorage",
        TEMPORARY,
        "<temporarystorage>\nname t\n</temporarystorage>",
        "zeo",
        "%import tempstorage",
    ),
    Row(
        "zlib-storage",
        "%import zc.zlibstorage\n" + STORAGE,
        "<zlibstorage>\n<filestorage>\npath z/Data.fs\n</filestorage>\n</zlibstorage>",
        "zeo",
        "<zlibstorage content>",
    ),
]
LOG_ROWS = [
    Row("zeo-log", ZEO, "<log>\npath log/other.log\n</log>", "zeo", "path {dir}/zeo/log/other.log"),
    Row("zeo-log-level", ZEO, "<log>\nlevel warn\n</log>", "zeo", "level warn"),
    Row("zeo-log-format", ZEO, "<log>\nformat %(message)s\n</log>", "zeo", "format %(message)s"),
    Row("zeo-log-max-size", ZEO, "<log>\nmax-size 5MB\n</log>", "zeo", "max-size 5MB"),
    Row("zeo-log-old-files", ZEO, "<log>\nmax-size 5MB\nold-files 9\n</log>", "zeo", "old-files 9"),
    Row("logfile when", ZEO, "<log>\nwhen W0\n</log>", "zeo", "when W0"),
    Row("logfile interval", ZEO, "<log>\nwhen D\ninterval 2\n</log>", "zeo", "interval 2"),
    Row("logfile dateformat", ZEO, "<log>\ndate-format %Y\n</log>", "zeo", "dateformat %Y"),
    Row(
        "zeo-log-custom",
        ZEO,
        "<eventlog>\n<syslog>\naddress localhost:514\n</syslog>\n</eventlog>",
        "zeo",
        "address localhost:514",
    ),
]
RUNNER_ROWS = [
    Row("effective-user", ZEO, "user nobody", "zdaemon", "user nobody"),
    Row(
        "runner socket-name",
        ZEO,
        "<runner>\nsocket-name var/s\n</runner>",
        "zdaemon",
        "socket-name {dir}/zeo/var/s",
    ),
    Row(
        "runner transcript",
        ZEO,
        "<runner>\ntranscript log/t\n</runner>",
        "zdaemon",
        "transcript {dir}/zeo/log/t",
    ),
    Row(
        "runner logfile",
        ZEO,
        "<runner>\nlogfile log/l\n</runner>",
        "zdaemon",
        "logfile {dir}/zeo/log/l",
    ),
    Row("zopectl-umask", INSTANCE, "<runner>\numask 007\n</runner>", "zdaemon", "umask 007"),
    Row(
        "zdaemon environment",
        ZEO,
        "<environment>\nTZ Europe/Berlin\n</environment>",
        "zdaemon",
        "TZ Europe/Berlin",
    ),
    Row(
        "extra-paths",
        INSTANCE,
        "<environment>\nPYTHONPATH /extra\n</environment>",
        "zdaemon",
        "PYTHONPATH /extra",
    ),
    *same(
        ZEO,
        "zdaemon",
        "runner",
        "python /usr/bin/python3",
        "zdrun /usr/bin/zdrun",
        "daemon false",
        "backoff-limit 7",
        "forever false",
        "exit-codes 0,2,3",
        "start-test-program /usr/bin/test-it now",
        "start-timeout 12",
        "stop-timeout 13",
        "umask 077",
        "hang-around true",
        "default-to-interactive true",
        "prompt zeo>",
    ),
]
ZOPE_ROWS = [
    Row("instancehome", INSTANCE, "directory elsewhere", "zope", "instancehome {dir}/elsewhere"),
    Row("clienthome", INSTANCE, "clienthome var2", "zope", "clienthome {dir}/pub_client/var2"),
    Row(
        "pid-filename",
        INSTANCE,
        "pid-filename var/x.pid",
        "zope",
        "pid-filename {dir}/pub_client/var/x.pid",
    ),
    *same(
        INSTANCE,
        "zope",
        "",
        "debug-mode on",
        "debug-exceptions on",
        "locale C",
        "datetime-format international",
        "python-check-interval 500",
        "http-realm My Zope",
        "automatically-quote-dtml-request-data off",
        "zmi-bookmarkable-urls off",
        "trusted-proxy 127.0.0.1",
        "max-conflict-retries 5",
        "security-policy-implementation python",
        "skip-authentication-checking on",
        "skip-ownership-checking on",
        "verbose-security on",
        "default-zpublisher-encoding latin-1",
        "webdav-source-port 9800",
        "enable-ms-public-header on",
        "enable-xmlrpc on",
    ),
    *same(INSTANCE, "zope", "environment", "CHAMELEON_CACHE /var/cache/chameleon"),
    *(
        Row(
            f"dos_protection {line.split()[0]}",
            INSTANCE,
            f"<dos-protection>\n{line}\n</dos-protection>",
            "zope",
            line,
        )
        for line in (
            "form-memory-limit 2MB",
            "form-disk-limit 3GB",
            "form-memfile-limit 8KB",
            "form-part-limit 2048",
        )
    ),
    Row(
        "product-config",
        INSTANCE,
        "<product-config mail>\nhost x\n</product-config>",
        "zope",
        "<product-config mail>",
    ),
    Row(
        "zope-conf-additional",
        INSTANCE,
        "<zope-conf>\n<product-config raw>\nx y\n</product-config>\n</zope-conf>",
        "zope",
        "<product-config raw>",
    ),
    Row(
        "zope-conf-imports",
        "%import tempstorage\n" + INSTANCE,
        "<zope-conf>\n<product-config raw>\nx y\n</product-config>\n</zope-conf>",
        "zope",
        "%import tempstorage",
    ),
    Row("mount-point", MOUNT, "mount-point /a:/b/a", "zope", "mount-point /a:/b/a"),
    Row(
        "mount-point with root", MOUNT, "mount-point /a:~other/a", "zope", "mount-point /a:~other/a"
    ),
    *same(
        MOUNT,
        "zope",
        "",
        "connection-class ZODB.Connection.Connection",
        "container-class OFS.Folder.Folder",
        "cache-size 30000",
        "cache-size-bytes 100MB",
        "large-record-size 32MB",
        "pool-size 9",
        "pool-timeout 10m",
        "historical-pool-size 4",
        "historical-cache-size 900",
        "historical-cache-size-bytes 10MB",
        "historical-timeout 6m",
        "database-name other",
        "allow-implicit-cross-references true",
        "class-factory Zope2.App.ClassFactory.ClassFactory",
    ),
    Row(
        "zodb-cache-size",
        TOP,
        "<database>\ncache-size 40000\n</database>",
        "zope",
        "cache-size 40000",
    ),
    Row(
        "file-storage",
        "<storage root/pub>\npath main/Data.fs\n</storage>\n" + INSTANCE,
        "",
        "zope",
        "path {dir}/main/Data.fs",
    ),
    Row(
        "blob-storage",
        "<storage root/pub>\nblob-dir b\n</storage>\n" + INSTANCE,
        "",
        "zope",
        "blob-dir {dir}/b",
    ),
    Row(
        "zodb-temporary-storage",
        "%import tempstorage\n" + PLAIN_STORE,
        "<temporarystorage>\nname t\n</temporarystorage>",
        "zope",
        "<temporarystorage>",
    ),
    Row(
        "demo-storage",
        PLAIN_STORE,
        "<demostorage>\n<mappingstorage base/>\n</demostorage>",
        "zope",
        "<demostorage>",
    ),
]
CLIENT_ROWS = [
    *same(
        MOUNTS,
        "zope",
        "client",
        "server 10.0.0.1:8100",
        "cache-size 256MB",
        "shared-blob-dir on",
        "blob-cache-size 5GB",
        "blob-cache-size-check 20",
        "min-disconnect-poll 2",
        "max-disconnect-poll 20",
        "wait off",
        "read-only on",
        "read-only-fallback on",
        "drop-cache-rather-verify on",
        "client-label mine",
        "name mine",
        "client mine",
        "server-sync on",
        "wait-timeout 60",
    ),
    Row("zeo-storage", MOUNTS, "", "zope", "storage content"),
    Row(
        "client var", MOUNTS, "<client>\nvar var/z\n</client>", "zope", "var {dir}/pub_client/var/z"
    ),
    Row(
        "client blob-dir",
        MOUNTS,
        "<client>\nblob-dir b/%s\n</client>",
        "zope",
        "blob-dir {dir}/pub_client/b/content",
    ),
    Row(
        "shared-blob",
        MOUNTS,
        "<client>\nshared-blob-dir on\n</client>",
        "zope",
        "blob-dir {dir}/var/content/blobs",
    ),
    Row(
        "cache-path",
        MOUNTS,
        "<client>\ncache-path var/%s.zec\n</client>",
        "zope",
        "cache-path {dir}/pub_client/var/content.zec",
    ),
    *(
        Row(
            f"client ssl {line.split()[0]}",
            MOUNTS,
            f"<client>\n<ssl>\n{line}\n{more}\n</ssl>\n</client>",
            "zope",
            line,
        )
        for line, more in (
            ("certificate /c.pem", ""),
            ("key /k.pem", "certificate /c"),
            ("password-function os.getcwd", "certificate /c"),
            ("authenticate /a.pem", "certificate /c"),
            ("check-hostname false", "certificate /c"),
            ("server-hostname zeo.example.org", "certificate /c"),
        )
    ),
]
INI_ROWS = [
    Row("http-address", INI, "http-address 0.0.0.0:8099", "ini", "listen = 0.0.0.0:8099"),
    Row(
        "http-address, a socket",
        INI,
        "http-address var/http.sock",
        "ini",
        "unix_socket = {dir}/pub_client/var/http.sock",
    ),
    Row("threads", INI, "threads 9", "ini", "threads = 9"),
    *(
        Row(
            f"waitress {key}",
            INI,
            f"<waitress>\n{said} {value}\n</waitress>",
            "ini",
            f"{key} = {value}",
        )
        for key, said, value in (
            ("max_request_body_size", "max-request-body-size", "1073741824"),
            ("clear_untrusted_proxy_headers", "clear-untrusted-proxy-headers", "false"),
            ("asyncore_use_poll", "asyncore-use-poll", "true"),
            ("channel_timeout", "channel_timeout", "60"),
        )
    ),
    Row(
        "http-fast-listen",
        INI,
        "<ini server:main>\nuse egg:waitress#main\n</ini>",
        "ini",
        "use = egg:waitress#main",
    ),
    Row("pipeline", INI, "pipeline egg:Zope#httpexceptions zope", "ini", "egg:Zope#httpexceptions"),
    Row("wsgi filters", INI, "filter egg:Zope#content_length", "ini", "egg:Zope#content_length"),
    Row(
        "event-log",
        INI,
        "<log>\npath log/e.log\n</log>",
        "ini",
        "args = ('{dir}/pub_client/log/e.log',)",
    ),
    Row("event-log disable", INI, "<log>\npath none\n</log>", "ini", "args = (sys.stderr,)"),
    Row("event-log-level", INI, "<log>\nlevel debug\n</log>", "ini", "level = DEBUG"),
    Row(
        "event-log-handler",
        INI,
        "<log>\nhandler handlers.SysLogHandler\nhandler-args ()\n</log>",
        "ini",
        "class = handlers.SysLogHandler",
    ),
    Row(
        "event-log-handler-args",
        INI,
        "<log>\nhandler FileHandler\nhandler-args ('/x', 'a')\n</log>",
        "ini",
        "args = ('/x', 'a')",
    ),
    Row(
        "event-log-handler-kwargs",
        INI,
        "<log>\nhandler FileHandler\nhandler-kwargs {'delay': True}\n</log>",
        "ini",
        "kwargs = {'delay': True}",
    ),
    Row(
        "event-log max-size",
        INI,
        "<log>\nmax-size 1KB\n</log>",
        "ini",
        "class = handlers.RotatingFileHandler",
    ),
    Row(
        "event-log when",
        INI,
        "<log>\nwhen midnight\n</log>",
        "ini",
        "class = handlers.TimedRotatingFileHandler",
    ),
    Row(
        "event-log format",
        INI,
        "<log>\nformat %(message)s!\n</log>",
        "ini",
        "format = %(message)s!",
    ),
    Row(
        "access-log",
        INI,
        "<access-log>\npath log/z2.log\n</access-log>",
        "ini",
        "args = ('{dir}/pub_client/log/z2.log',)",
    ),
    Row(
        "access-log-level", INI, "<access-log>\nlevel error\n</access-log>", "ini", "level = ERROR"
    ),
    Row(
        "access-log-handler",
        INI,
        "<access-log>\nhandler FileHandler\n</access-log>",
        "ini",
        "class = FileHandler",
    ),
    Row(
        "profile",
        INI,
        "filter profile\n<ini filter:profile>\nuse egg:Paste#cgitb\nlog_filename p.log\n</ini>",
        "ini",
        "log_filename = p.log",
    ),
    Row(
        "sentry, mailinglogger",
        INI,
        "<ini handler_mail>\nclass handlers.SMTPHandler\nargs ('h', 'f', ['t'], 's')\n</ini>",
        "ini",
        "keys = eventlog, accesslog, mail",
    ),
]
ZCML_ROWS = [
    Row(
        "zcml",
        INSTANCE,
        "zcml Products.Five",
        "zcml",
        '<include package="Products.Five" file="configure.zcml" />',
    ),
    Row(
        "zcml meta",
        INSTANCE,
        "zcml Products.Five-meta",
        "zcml",
        '<include package="Products.Five" file="meta.zcml" />',
    ),
    Row(
        "zcml overrides",
        INSTANCE,
        "zcml Products.Five:overrides.zcml",
        "zcml",
        '<includeOverrides package="Products.Five" file="overrides.zcml" />',
    ),
    Row(
        "zcml-additional",
        INSTANCE,
        "zcml-additional more.zcml",
        "zcml",
        '<includeOverrides file="{dir}/more.zcml" />',
    ),
    Row("site-zcml", INSTANCE, "site-zcml mine.zcml", "zcml", '<include file="{dir}/mine.zcml" />'),
    Row(
        "resources", INSTANCE, "resources res", "zcml", 'name="resources" directory="{dir}/res" />'
    ),
    Row(
        "locales",
        INSTANCE,
        "locales loc",
        "zcml",
        '<i18n:registerTranslations directory="{dir}/loc" />',
    ),
]
ROWS = [
    *ZEO_ROWS,
    *LOG_ROWS,
    *RUNNER_ROWS,
    *ZOPE_ROWS,
    *CLIENT_ROWS,
    *INI_ROWS,
    *ZCML_ROWS,
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.reader}-{row.option}")
def test_an_option_reaches_its_file(row: Row, tmp_path: Path):
    files = files_of(tmp_path, row.conf)

    lines = [line.strip() for f in files if f.reader == row.reader for line in f.text.splitlines()]

    assert row.written.replace("{dir}", str(tmp_path)) in lines


def test_the_real_schemas_take_every_option(tmp_path: Path):
    files, sources = [], {}
    for number, row in enumerate(ROWS):
        for file in files_of(tmp_path, row.conf):
            if file.reader in ("zeo", "zope", "zdaemon", "ini"):
                path = f"{number}:{file.reader}"
                files.append({"path": path, "reader": file.reader, "text": file.text})
                sources[path] = row.option

    # in a process of its own: Zope's datatypes set its global defaults
    done = subprocess.run(
        [sys.executable, in_zope.__file__],
        input=json.dumps({"files": files}),
        capture_output=True,
        text=True,
        check=True,
    )
    wrong = json.loads(done.stdout)

    assert [(sources[each["path"]], each["what"]) for each in wrong] == []


def keys_of(schema: Any, name: str) -> set[str]:
    """Return the keys that section NAME of SCHEMA takes; of the schema itself for ""."""
    section = schema.gettype(name) if name else schema
    return {info.name for _, info in section if not info.issection() and info.name != "+"}


def written(*rows: Row) -> set[str]:
    return {row.written.split()[0] for row in rows}


@pytest.mark.parametrize(
    ("name", "rows"),
    [("zeo", ZEO_ROWS), ("filestorage", ZEO_ROWS), ("runner", RUNNER_ROWS)],
)
def test_no_key_of_zeo_and_zdaemon_is_forgotten(name: str, rows: list[Row]):
    from ZEO.runzeo import ZEOOptions

    options = ZEOOptions()
    options.load_schema()

    # the program is the process itself, its directory what the topology says
    assert keys_of(options.schema, name) - written(*rows) - {"program", "directory"} == set()


def test_no_key_of_zope_is_forgotten():
    options = ZopeWSGIOptions()
    options.load_schema()
    every = written(*ZOPE_ROWS)

    assert keys_of(options.schema, "") - every == set()
    assert keys_of(options.schema, "zodb_db") - every == set()
    assert keys_of(options.schema, "dos_protection") - every == set()
    # ZODB still takes these three, ZEO ignores them
    dead = {"username", "password", "realm"}
    assert keys_of(options.schema, "zeoclient") - written(*CLIENT_ROWS) - dead == set()


def test_no_key_of_clientstorage_is_forgotten():
    from ZConfig.loader import SchemaLoader

    component = io.StringIO('<schema><import package="ZEO"/></schema>')
    schema = SchemaLoader().loadFile(component)

    assert keys_of(schema, "clientstorage") - written(*CLIENT_ROWS) == set()
    assert keys_of(schema, "ssl") - written(*CLIENT_ROWS) == set()


def test_everything_at_once_is_judged_valid_in_the_virtual_environment(tmp_path: Path):
    said = "\n".join(
        row.said for row in ZOPE_ROWS if row.context == INSTANCE and "<" not in row.said
    )
    topology = topology_of(tmp_path, INSTANCE.replace("{}", said))
    files = generated_files(topology, topology.hosts[0])

    assert validate(topology, topology.hosts[0], files) == ()
    assert sys.prefix == str(topology.hosts[0].venv)
